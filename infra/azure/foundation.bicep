// What the Function App stands on, deployed before it: who it is, where its package and its records
// lie, and where it tells how it is. It asks for no token, so that roles in Entra ID can be granted
// before the first one is issued and kept for a day.

targetScope = 'resourceGroup'

// --- parameters ------------------------------------------------------------------------------------

@description('The Azure region, as `az account list-locations` names it.')
param location string = resourceGroup().location

@description('The user-assigned identity that the Function App runs as.')
@minLength(3)
@maxLength(128)
param identityName string

@description('The storage account of the package, the host and the records: small letters and digits, unique in all of Azure.')
@minLength(3)
@maxLength(24)
param storageAccountName string

@description('The Flex Consumption plan. It holds one Function App.')
@minLength(1)
@maxLength(60)
param planName string

@description('The Application Insights resource.')
@minLength(1)
@maxLength(255)
param insightsName string

@description('The Log Analytics workspace that keeps what Application Insights is told.')
@minLength(4)
@maxLength(63)
param workspaceName string

@description('Whether the plan and the storage account are spread over the zones of the region. Of a plan it cannot be changed later, and not every region has it.')
param zoneRedundant bool = false

@description('Whether the Function App reaches its storage through a virtual network only, and nobody else reaches it from the internet.')
param useVirtualNetwork bool = false

@description('The virtual network, where there is one.')
@minLength(2)
@maxLength(64)
param virtualNetworkName string = 'vnet-bridge'

@description('The addresses of the virtual network.')
param virtualNetworkPrefix string = '10.90.0.0/24'

@description('The part of them that the Function App takes, one for each instance: at least a /27.')
param functionSubnetPrefix string = '10.90.0.0/25'

@description('The part of them for the private endpoints of the storage account.')
param endpointSubnetPrefix string = '10.90.0.128/27'

@description('Days that logs and measurements are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Days that a deleted blob or container can be brought back.')
@minValue(1)
@maxValue(365)
param blobRetentionDays int = 7

@description('Tags of every resource.')
param tags object = {}

// --- names that nobody has to choose ---------------------------------------------------------------

var packageContainerName = 'package'

// Storage Blob Data Owner
var blobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
// Monitoring Metrics Publisher
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

var storageServices = useVirtualNetwork ? ['blob', 'queue', 'table'] : []

// --- who the Function App is -----------------------------------------------------------------------

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: identityName
  location: location
  tags: tags
}

// --- storage ---------------------------------------------------------------------------------------

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: storageAccountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    // A key would be a stored secret that everybody with it shares.
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: useVirtualNetwork ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'None'
      // Without a virtual network the app has no address of its own that a rule could name. What
      // keeps others out then is that there are no keys, only roles.
      defaultAction: useVirtualNetwork ? 'Deny' : 'Allow'
    }
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: storage
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: blobRetentionDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: blobRetentionDays
    }
  }
}

resource packageContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobService
  name: packageContainerName
  properties: {
    publicAccess: 'None'
  }
}

// The host keeps its locks and the timer's state here, and reads the package. The roles for records
// and queues are given in app.bicep, which knows whether there are any.
resource blobRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, identity.id, blobDataOwner)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    // Without it a new identity is looked for before it can be found.
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataOwner)
  }
}

// --- what the Function App tells -------------------------------------------------------------------

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: logRetentionDays
    features: {
      // Who may read the resource may read its logs, and nobody by a shared key.
      enableLogAccessUsingOnlyResourcePermissions: true
      disableLocalAuth: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: insightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    // The connection string is no secret then: only the identity may write.
    DisableLocalAuth: true
  }
}

resource insightsRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, identity.id, monitoringMetricsPublisher)
  scope: insights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
  }
}

// --- where it runs ---------------------------------------------------------------------------------

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

// --- the virtual network, where there is one -------------------------------------------------------

// The provider Microsoft.App must be registered in the subscription for this.
resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = if (useVirtualNetwork) {
  name: virtualNetworkName
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        virtualNetworkPrefix
      ]
    }
    subnets: [
      {
        name: 'function'
        properties: {
          addressPrefix: functionSubnetPrefix
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointSubnetPrefix
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for service in storageServices: {
  name: 'privatelink.${service}.${environment().suffixes.storage}'
  location: 'global'
  tags: tags
}]

resource zoneLinks 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (service, index) in storageServices: {
  parent: zones[index]
  name: virtualNetworkName
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}]

resource endpoints 'Microsoft.Network/privateEndpoints@2024-07-01' = [for service in storageServices: {
  name: 'pe-${storageAccountName}-${service}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: '${network.id}/subnets/endpoints'
    }
    privateLinkServiceConnections: [
      {
        name: service
        properties: {
          privateLinkServiceId: storage.id
          groupIds: [
            service
          ]
        }
      }
    ]
  }
}]

resource endpointZones 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = [for (service, index) in storageServices: {
  parent: endpoints[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: service
        properties: {
          privateDnsZoneId: zones[index].id
        }
      }
    ]
  }
}]

// --- what the next steps need ----------------------------------------------------------------------

@description('The client ID of the identity: AZURE_CLIENT_ID, and among the callers that the authorizer allows.')
output identityClientId string = identity.properties.clientId

@description('The object ID of the identity\'s service principal, which gets its roles on the API.')
output identityPrincipalId string = identity.properties.principalId

@description('The identity\'s ID in Azure Resource Manager.')
output identityId string = identity.id

@description('The storage account.')
output storageAccountName string = storage.name

@description('The storage account\'s table service.')
output tableEndpoint string = storage.properties.primaryEndpoints.table

@description('The storage account\'s queue service.')
output queueEndpoint string = storage.properties.primaryEndpoints.queue

@description('The container that the package is published to.')
output packageContainerUrl string = '${storage.properties.primaryEndpoints.blob}${packageContainerName}'

@description('Where measurements are sent; no secret, for only the identity may.')
output insightsConnectionString string = insights.properties.ConnectionString

@description('The plan.')
output planId string = plan.id

@description('The subnet of the Function App, or nothing.')
output subnetId string = useVirtualNetwork ? '${network.id}/subnets/function' : ''

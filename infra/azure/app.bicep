// The Function App on what foundation.bicep has made, its settings, and how its callers sign in.
//
// Deployed last, because the app asks for its first token when it starts, and Azure keeps a token,
// with the roles that it was issued with, for up to a day.

targetScope = 'resourceGroup'

// --- parameters: the Function App ------------------------------------------------------------------

@description('The Azure region, as `az account list-locations` names it.')
param location string = resourceGroup().location

@description('The Function App, and the first part of its address: unique in all of Azure.')
@minLength(2)
@maxLength(60)
param functionAppName string

@description('The user-assigned identity of foundation.bicep.')
param identityName string

@description('The storage account of foundation.bicep.')
param storageAccountName string

@description('The plan of foundation.bicep.')
param planName string

@description('The Application Insights resource of foundation.bicep.')
param insightsName string

@description('The subnet of foundation.bicep, or nothing.')
param subnetId string = ''

@description('Memory of an instance, in MB; its processors come with it: a quarter, one, two.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('How many instances there may be at most. It bounds what a flood of calls can cost.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('How many HTTP requests an instance takes on at once, before Azure adds another. By default as many as fit into its memory with bodies of 10 MiB, and no more than CONCURRENT_CALLS.')
@minValue(1)
@maxValue(256)
param perInstanceConcurrency int?

@description('Instances for HTTP that are kept ready, and paid for, all the time; with a zone-redundant plan none, or two at least.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 0

@description('The same for the timer of the sync.')
@minValue(0)
@maxValue(20)
param alwaysReadyTimer int = 0

@description('The Key Vault, in this resource group, that the references below name, so that the identity may read its secrets. Its permissions must be by roles. For one elsewhere, give the identity the role Key Vault Secrets User there.')
param keyVaultName string = ''

@description('The ID of the action group that alerts tell; nothing means that there are no alerts.')
param alertActionGroupId string = ''

@description('For how long there may be no successful run of the sync before the alert: longer than its schedule is apart.')
@allowed([
  'PT30M'
  'PT1H'
  'PT6H'
  'P1D'
])
param syncAlertWindow string = 'PT1H'

@description('Tags of every resource.')
param tags object = {}

// --- parameters: the app's settings ----------------------------------------------------------------
//
// One for each setting that a deployment can choose, under the setting's name in camel case, as the
// text that the app reads. Nothing means that the setting is left out, so that the app's own default
// holds. Of a secret it is a reference, @Microsoft.KeyVault(VaultName=<vault>;SecretName=<secret>);
// @secure() keeps out of the deployment's history what somebody gives in its place by mistake.

@description('AWS_API_BASE_URL: where the API in AWS is, with its stage.')
@minLength(1)
param awsApiBaseUrl string

@description('ENTRA_TENANT_ID: the tenant that issues the tokens.')
@minLength(36)
@maxLength(36)
param entraTenantId string

@description('ENTRA_CLOUD: the Entra ID cloud that the tenant lives in. Flex Consumption is not in Azure Government.')
@allowed([
  ''
  'public'
  'china'
])
param entraCloud string = ''

@description('API_CLIENT_ID: the client ID of the API\'s own registration.')
@minLength(36)
@maxLength(36)
param apiClientId string

@description('API_APP_ID_URI: the API\'s Application ID URI.')
param apiAppIdUri string = ''

@description('ACCEPTED_TOKEN_VERSIONS: the token versions that the API accepts.')
param acceptedTokenVersions string = ''

@description('AWS_API_KEY: a Key Vault reference, never the key itself.')
@secure()
param awsApiKey string = ''

@description('AWS_API_HOST: the Host header for a private API that is reached under another name.')
param awsApiHost string = ''

@description('AWS_API_ID: the API\'s ID, in place of AWS_API_HOST.')
param awsApiId string = ''

@description('API_HTTPS_PROXY: a Key Vault reference, never the address itself, in which a password can stand.')
@secure()
param apiHttpsProxy string = ''

@description('EXTRA_CA_FILE: the path, in the package, of authorities to trust beside the public ones.')
param extraCaFile string = ''

@description('API_CLIENT_CERTIFICATE_PATH: the path, in the package, of the app\'s certificate for an API that asks for one.')
param apiClientCertificatePath string = ''

@description('API_CLIENT_CERTIFICATE_KEY_PATH: the path, in the package, of that certificate\'s private key, which must be encrypted there.')
param apiClientCertificateKeyPath string = ''

@description('API_CLIENT_CERTIFICATE_PASSWORD: a Key Vault reference to what the private key is encrypted with, never the password itself.')
@secure()
param apiClientCertificatePassword string = ''

@description('SYNC_SCHEDULE: when the sync runs, in UTC. The host reads it too, so it is always set.')
@minLength(11)
param syncSchedule string = '0 */5 * * * *'

@description('SYNC_PAGE_SIZE: how many changes the sync asks for at a time.')
param syncPageSize string = ''

@description('SYNC_RUN_SECONDS: how long one run of the sync goes on.')
param syncRunSeconds string = ''

@description('SYNC_MOST_POISON_SHARE: how much of a page may be no usable records.')
param syncMostPoisonShare string = ''

@description('SYNC_MOST_DELETED_SHARE: how much of the live records a new feed may mark as deleted.')
param syncMostDeletedShare string = ''

@description('SYNC_FAN_OUT: whether the feed is read by its shards, through queues.')
@allowed([
  ''
  'true'
  'false'
])
param syncFanOut string = ''

@description('RECORD_STORE: where records and checkpoints are kept.')
@allowed([
  'table'
  'postgres'
])
param recordStore string = 'table'

@description('POSTGRES_HOST: the PostgreSQL server\'s name.')
param postgresHost string = ''

@description('POSTGRES_PORT: the PostgreSQL server\'s port.')
param postgresPort string = ''

@description('POSTGRES_DATABASE: the database.')
param postgresDatabase string = ''

@description('POSTGRES_USER: what the app\'s identity was named in the PostgreSQL server.')
param postgresUser string = ''

@description('PROXY_AUTHENTICATION: how the proxy\'s callers prove who they are. With easy_auth, App Service signs them in.')
@allowed([
  'function_key'
  'easy_auth'
])
param proxyAuthentication string = 'function_key'

@description('The client ID of the registration that callers sign in to, for easy_auth: one of its own, not the API\'s.')
param proxySignInClientId string = ''

@description('The client IDs of the applications that may call, for easy_auth; none means any with a token for that registration.')
param proxyCallerClientIds array = []

@description('PROXY_FORWARDS: what the proxy forwards at all.')
@allowed([
  ''
  'read'
  'read_and_write'
])
param proxyForwards string = ''

@description('PROXY_CALLER_ROLES: the app roles of signed-in callers, with the API\'s roles that each lends.')
param proxyCallerRoles string = ''

@description('PROXY_CALLER_TENANT_ID: the tenant whose accounts may call, for easy_auth.')
param proxyCallerTenantId string = ''

@description('PROXY_ADMITS_GUESTS: whether guests of that tenant may call too.')
@allowed([
  ''
  'true'
  'false'
])
param proxyAdmitsGuests string = ''

@description('PROXY_CALL_SECONDS: how long one proxied call may take.')
param proxyCallSeconds string = ''

@description('SYNC_CALL_SECONDS: how long fetching one page may take.')
param syncCallSeconds string = ''

@description('PROXY_READ_SECONDS: how long a proxied call waits for a sign of life.')
param proxyReadSeconds string = ''

@description('SYNC_READ_SECONDS: how long fetching a page waits for a sign of life.')
param syncReadSeconds string = ''

@description('CONNECT_SECONDS: how long opening a connection may take.')
param connectSeconds string = ''

@description('TOKEN_WAIT_SECONDS: how long a call waits for a token.')
param tokenWaitSeconds string = ''

@description('CONCURRENT_CALLS: how many proxied calls an instance makes at once.')
param concurrentCalls string = ''

@description('WAITING_CALLS: how many more may wait on an instance.')
param waitingCalls string = ''

@description('TELEMETRY_SAMPLED_SHARE: what share of the traces gets spans, here and in X-Ray; 0 turns the app\'s telemetry off.')
param telemetrySampledShare string = ''

// --- what there is already -------------------------------------------------------------------------

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' existing = {
  parent: storage
  name: 'default'
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' existing = {
  name: planName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource keyVault 'Microsoft.KeyVault/vaults@2024-11-01' existing = if (!empty(keyVaultName)) {
  name: keyVaultName
}

// --- what the identity may do, as far as the settings ask for it -----------------------------------

// Storage Table Data Contributor
var tableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
// Storage Queue Data Contributor
var queueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
// Key Vault Secrets User
var keyVaultSecretsUser = '4633458b-17de-408a-874b-0445c86b69e6'

var keepsRecordsInTables = recordStore == 'table'
var fansOut = syncFanOut == 'true'

resource tableRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (keepsRecordsInTables) {
  name: guid(storage.id, identity.id, tableDataContributor)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableDataContributor)
  }
}

resource queueRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (fansOut) {
  name: guid(storage.id, identity.id, queueDataContributor)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataContributor)
  }
}

resource secretsRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(keyVaultName)) {
  name: guid(keyVault.id, identity.id, keyVaultSecretsUser)
  scope: keyVault
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
  }
}

resource shardQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = [for queue in (fansOut ? ['sync-shards', 'sync-shards-poison'] : []): {
  parent: queueService
  name: queue
}]

// --- the Function App ------------------------------------------------------------------------------

// Bodies of 10 MiB each way take some 40 MiB of an instance: docs/company-network.md.
var requestsThatFit = {
  '512': 7
  '2048': 32
  '4096': 64
}
var callsAtOnce = empty(concurrentCalls) ? 64 : int(concurrentCalls)
var requestsAtOnce = min(requestsThatFit[string(instanceMemoryMB)], callsAtOnce)

var alwaysReadyForHttp = (alwaysReadyHttp > 0) ? [{ name: 'http', instanceCount: alwaysReadyHttp }] : []
var alwaysReadyForTimer = (alwaysReadyTimer > 0) ? [{ name: 'function:sync_timer', instanceCount: alwaysReadyTimer }] : []

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: functionAppName
  location: location
  tags: union(tags, { 'azd-service-name': 'function-app' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}package'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: concat(alwaysReadyForHttp, alwaysReadyForTimer)
        triggers: {
          http: {
            // Unset it is 1 for Python: an instance of its own for each request under way.
            perInstanceConcurrency: perInstanceConcurrency ?? requestsAtOnce
          }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      remoteDebuggingEnabled: false
    }
  }
  // Its first start reads the container, and secrets where there are any.
  dependsOn: [
    tableRole
    queueRole
    secretsRole
    shardQueues
  ]
}

// Who may publish is decided by roles, not by a password.
resource publishByPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = [for way in ['ftp', 'scm']: {
  parent: site
  name: way
  properties: {
    allow: false
  }
}]

// --- its settings ----------------------------------------------------------------------------------

// Of the host; the last two are the app's as well (docs/adr/0012), so neither PYTHON_ENABLE_OPENTELEMETRY nor
// PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY may be set: the host would leave the log lines to the worker.
// It must name the identity, for a user-assigned one is no default.
var hostSettings = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.properties.clientId
  AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
}

// Ours, that follow from what is deployed.
var derivedSettings = {
  AZURE_CLIENT_ID: identity.properties.clientId
}
var tableSettings = keepsRecordsInTables ? { TABLE_ENDPOINT: storage.properties.primaryEndpoints.table } : {}

// In place of what is no reference, so that no secret gets among the settings. The app's own checks
// of the first two refuse it, and no key is encrypted with it.
var referencePrefix = '@Microsoft.KeyVault('
var noReference = 'expected a Key Vault reference'

// Ours, that are chosen; nothing is left out below.
var chosenSettings = {
  AWS_API_BASE_URL: awsApiBaseUrl
  ENTRA_TENANT_ID: entraTenantId
  ENTRA_CLOUD: entraCloud
  API_CLIENT_ID: apiClientId
  API_APP_ID_URI: apiAppIdUri
  ACCEPTED_TOKEN_VERSIONS: acceptedTokenVersions
  AWS_API_KEY: (empty(awsApiKey) || startsWith(awsApiKey, referencePrefix)) ? awsApiKey : noReference
  AWS_API_HOST: awsApiHost
  AWS_API_ID: awsApiId
  API_HTTPS_PROXY: (empty(apiHttpsProxy) || startsWith(apiHttpsProxy, referencePrefix)) ? apiHttpsProxy : noReference
  EXTRA_CA_FILE: extraCaFile
  API_CLIENT_CERTIFICATE_PATH: apiClientCertificatePath
  API_CLIENT_CERTIFICATE_KEY_PATH: apiClientCertificateKeyPath
  API_CLIENT_CERTIFICATE_PASSWORD: (empty(apiClientCertificatePassword) || startsWith(apiClientCertificatePassword, referencePrefix)) ? apiClientCertificatePassword : noReference
  SYNC_SCHEDULE: syncSchedule
  SYNC_PAGE_SIZE: syncPageSize
  SYNC_RUN_SECONDS: syncRunSeconds
  SYNC_MOST_POISON_SHARE: syncMostPoisonShare
  SYNC_MOST_DELETED_SHARE: syncMostDeletedShare
  SYNC_FAN_OUT: syncFanOut
  RECORD_STORE: recordStore
  POSTGRES_HOST: postgresHost
  POSTGRES_PORT: postgresPort
  POSTGRES_DATABASE: postgresDatabase
  POSTGRES_USER: postgresUser
  PROXY_AUTHENTICATION: proxyAuthentication
  PROXY_FORWARDS: proxyForwards
  PROXY_CALLER_ROLES: proxyCallerRoles
  PROXY_CALLER_TENANT_ID: proxyCallerTenantId
  PROXY_ADMITS_GUESTS: proxyAdmitsGuests
  PROXY_CALL_SECONDS: proxyCallSeconds
  SYNC_CALL_SECONDS: syncCallSeconds
  PROXY_READ_SECONDS: proxyReadSeconds
  SYNC_READ_SECONDS: syncReadSeconds
  CONNECT_SECONDS: connectSeconds
  TOKEN_WAIT_SECONDS: tokenWaitSeconds
  CONCURRENT_CALLS: concurrentCalls
  WAITING_CALLS: waitingCalls
  TELEMETRY_SAMPLED_SHARE: telemetrySampledShare
}
var givenSettings = toObject(filter(items(chosenSettings), setting => !empty(setting.value)), setting => setting.key, setting => setting.value)

resource appSettings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: site
  name: 'appsettings'
  properties: union(hostSettings, derivedSettings, tableSettings, givenSettings)
}

// --- how callers sign in ---------------------------------------------------------------------------

var callersSignIn = proxyAuthentication == 'easy_auth'
var signInTenantId = empty(proxyCallerTenantId) ? entraTenantId : proxyCallerTenantId

// Bearer tokens are checked without a client secret, so there is none.
var callerPolicy = empty(proxyCallerClientIds) ? {} : { allowedApplications: proxyCallerClientIds }
var signIn = {
  azureActiveDirectory: {
    enabled: true
    registration: {
      clientId: proxySignInClientId
      openIdIssuer: '${environment().authentication.loginEndpoint}${signInTenantId}/v2.0'
    }
    validation: {
      allowedAudiences: [
        proxySignInClientId
        'api://${proxySignInClientId}'
      ]
      defaultAuthorizationPolicy: callerPolicy
    }
  }
}

// Sent in any case, so that it is off again after the app has gone back to keys.
resource authentication 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: site
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: callersSignIn
    }
    globalValidation: {
      requireAuthentication: callersSignIn
      unauthenticatedClientAction: callersSignIn ? 'Return401' : 'AllowAnonymous'
      // Whoever watches the app has no account; it answers no more than how it is.
      excludedPaths: [
        '/api/health'
      ]
    }
    httpSettings: {
      requireHttps: true
    }
    login: {
      tokenStore: {
        enabled: false
      }
    }
    identityProviders: callersSignIn ? signIn : {}
  }
  dependsOn: [
    appSettings
  ]
}

// --- alerts, where somebody is to be told ----------------------------------------------------------

// Both look at what the host and the app write in any case, in the workspace that nobody else uses.
resource syncAlert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = if (!empty(alertActionGroupId)) {
  name: '${functionAppName}-sync-missing'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${functionAppName}: no successful run of the sync'
    description: 'The timer has failed each time, or has not run. docs/troubleshooting.md tells more.'
    severity: 1
    enabled: true
    scopes: [
      insights.properties.WorkspaceResourceId
    ]
    evaluationFrequency: 'PT15M'
    windowSize: syncAlertWindow
    criteria: {
      allOf: [
        {
          query: 'AppRequests | where Name == "sync_timer" and Success == true'
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
        }
      ]
    }
    actions: {
      actionGroups: [
        alertActionGroupId
      ]
    }
  }
}

resource decisionAlert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = if (!empty(alertActionGroupId)) {
  name: '${functionAppName}-decision-needed'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${functionAppName}: somebody must decide'
    description: 'Deletions are held, or a shard\'s message was given up. docs/troubleshooting.md says what to do.'
    severity: 2
    enabled: true
    scopes: [
      insights.properties.WorkspaceResourceId
    ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT15M'
    criteria: {
      allOf: [
        {
          query: 'AppTraces | where Message has_any ("deletions_held", "shard_poisoned")'
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: {
      actionGroups: [
        alertActionGroupId
      ]
    }
  }
}

// --- what the next steps need ----------------------------------------------------------------------

@description('The Function App.')
output functionAppName string = site.name

@description('Its address, without https://.')
output defaultHostName string = site.properties.defaultHostName

// Who GitHub's deployments are in Azure: an identity that signs in with GitHub's own token, so that
// no secret is stored there, and that may deploy to this resource group and to nothing else.

targetScope = 'resourceGroup'

@description('The Azure region, as `az account list-locations` names it.')
param location string = resourceGroup().location

@description('The user-assigned identity of GitHub\'s deployments: not the Function App\'s.')
@minLength(3)
@maxLength(128)
param identityName string

@description('The exact subject of the tokens that GitHub issues to the deployment, such as repo:owner@1/name@2:environment:prod. Repositories of before July 2026 have no numbers in it.')
@minLength(10)
param subject string

@description('Tags of every resource.')
param tags object = {}

// Contributor
var contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c'
// Role Based Access Control Administrator
var accessAdministrator = 'f58310d9-a9f6-439a-9e8d-f62e7b41a168'

// What foundation.bicep and app.bicep give to the Function App's identity; GitHub's may give no other.
// Storage Blob Data Owner, Monitoring Metrics Publisher, Storage Table Data Contributor,
// Storage Queue Data Contributor, Key Vault Secrets User
var grantedRoles = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  '3913510d-42f4-4e42-8a64-420c390055eb'
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  '4633458b-17de-408a-874b-0445c86b69e6'
]
var grantedRoleIds = join(grantedRoles, ', ')
var isNoWrite = '!(ActionMatches{\'Microsoft.Authorization/roleAssignments/write\'})'
var isNoDelete = '!(ActionMatches{\'Microsoft.Authorization/roleAssignments/delete\'})'
var requestedRole = '@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${grantedRoleIds}}'
var requestedPrincipal = '@Request[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {\'ServicePrincipal\'}'
var removedRole = '@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${grantedRoleIds}}'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: identityName
  location: location
  tags: tags
}

resource credential 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = {
  parent: identity
  name: 'github'
  properties: {
    issuer: 'https://token.actions.githubusercontent.com'
    subject: subject
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}

resource contributorRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, identity.id, contributor)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributor)
  }
}

// Contributor may grant nothing, and the modules grant the Function App's identity its roles.
resource accessRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, identity.id, accessAdministrator)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', accessAdministrator)
    conditionVersion: '2.0'
    condition: '((${isNoWrite}) OR (${requestedRole} AND ${requestedPrincipal})) AND ((${isNoDelete}) OR (${removedRole}))'
  }
}

@description('The client ID that azure/login is given.')
output githubClientId string = identity.properties.clientId

@description('The object ID of the identity\'s service principal.')
output githubPrincipalId string = identity.properties.principalId

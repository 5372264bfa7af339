"""The local Azure: what deploys the Bicep modules on this machine."""

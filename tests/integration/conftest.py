"""Fixtures that several integration tests share."""

from tests.support.azurite import azurite
from tests.support.local_aws import deploy_probes, ministack, probed_stack
from tests.support.postgres import postgres

__all__ = ["azurite", "deploy_probes", "ministack", "postgres", "probed_stack"]

"""Fixtures that several integration tests share."""

from tests.support.local_aws import deploy_probes, ministack, probed_stack

__all__ = ["deploy_probes", "ministack", "probed_stack"]

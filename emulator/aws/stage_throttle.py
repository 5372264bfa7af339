"""The throttle of the deployed stage, changed by the call that does it on AWS too (UpdateStage).

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from emulator.aws.deployment import Deployment, LocalAws

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient

_EVERY_METHOD: Final = "*/*"


class Throttle(NamedTuple):
    """What a stage lets through."""

    rate: float
    """Requests a second."""
    burst: int
    """Requests at once."""


@dataclass(frozen=True, slots=True)
class StageThrottle:
    """The throttle for every method of a stage."""

    aws: LocalAws
    deployment: Deployment

    def read(self) -> Throttle:
        """Return what the stage lets through now."""
        stage = self._client().get_stage(
            restApiId=self.deployment.api_id, stageName=self.deployment.stage
        )
        settings = stage["methodSettings"][_EVERY_METHOD]
        return Throttle(
            float(settings["throttlingRateLimit"]), int(settings["throttlingBurstLimit"])
        )

    def set(self, throttle: Throttle) -> None:
        """Let so much through from now on."""
        self._client().update_stage(
            restApiId=self.deployment.api_id,
            stageName=self.deployment.stage,
            patchOperations=[
                {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": str(throttle.rate)},
                {
                    "op": "replace",
                    "path": "/*/*/throttling/burstLimit",
                    "value": str(throttle.burst),
                },
            ],
        )

    def _client(self) -> "APIGatewayClient":
        return self.aws.session().client(
            "apigateway", endpoint_url=self.aws.endpoint_url, config=self.aws.config
        )

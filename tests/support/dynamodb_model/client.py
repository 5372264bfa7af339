"""A client of the model that looks like boto3's, and repeats what botocore repeats."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

import botocore.exceptions
from botocore.errorfactory import ClientExceptionsFactory
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from tests.support.dynamodb_model.drivers import AnswerLost, AtOnce, Driver
from tests.support.dynamodb_model.service import DynamoDbModel, Request, Response, ServiceError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

type Rewrite = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Takes an operation's name and its parameters, and gives those that are sent instead."""

MOST_ATTEMPTS: Final = 3
"""As `aws_backend.bootstrap` sets it."""

_PAUSE_SECONDS: Final = 0.05
_REPEATED: Final = frozenset(
    {
        # botocore's standard mode: throttles, and a transaction that is in progress.
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "TransactionInProgressException",
    }
)

_tokens = itertools.count(1)


class ModelClient:
    """What the store calls: methods, exceptions and a paginator, spelled as boto3 does."""

    def __init__(
        self,
        model: DynamoDbModel,
        driver: Driver | None = None,
        *,
        rewrite: Rewrite = lambda _operation, request: request,
        is_checked: bool = True,
    ) -> None:
        """Make a client; `is_checked` if botocore is to check each request's parameters first."""
        self.exceptions = _exceptions()
        self._model = model
        self._driver = driver or AtOnce()
        self._rewrite = rewrite
        self._is_checked = is_checked

    def as_boto3(self) -> "DynamoDBClient":
        """Return the client under the type that the store knows."""
        return cast("DynamoDBClient", self)

    def create_table(self, **request: Any) -> Response:
        """See boto3."""
        return self._call("CreateTable", request)

    def get_item(self, **request: Any) -> Response:
        """See boto3."""
        return self._call("GetItem", request)

    def batch_get_item(self, **request: Any) -> Response:
        """See boto3."""
        return self._call("BatchGetItem", request)

    def put_item(self, **request: Any) -> Response:
        """See boto3."""
        return self._call("PutItem", request)

    def update_item(self, **request: Any) -> Response:
        """See boto3."""
        return self._call("UpdateItem", request)

    def delete_item(self, **request: Any) -> Response:
        """See boto3."""
        return self._call("DeleteItem", request)

    def batch_write_item(self, **request: Any) -> Response:
        """See boto3."""
        return self._call("BatchWriteItem", request)

    def transact_get_items(self, **request: Any) -> Response:
        """See boto3."""
        return self._call("TransactGetItems", request)

    def transact_write_items(self, **request: Any) -> Response:
        """See boto3; without a token of the caller's it gets one, which each attempt carries."""
        token = {"ClientRequestToken": f"token-{next(_tokens)}"}
        return self._call("TransactWriteItems", token | request)

    def query(self, **request: Any) -> Response:
        """See boto3."""
        return self._call("Query", request)

    def get_paginator(self, operation: str) -> "_QueryPages":
        """See boto3; only a query has pages here."""
        if operation != "query":
            raise NotImplementedError(f"the model has no pages of {operation}")
        return _QueryPages(self)

    def _call(self, operation: str, request: dict[str, Any]) -> Response:
        request = self._rewrite(operation, request)
        if self._is_checked:
            _check(operation, request)
        for attempt in itertools.count(1):
            is_last = attempt == MOST_ATTEMPTS
            try:
                response = self._driver.call(
                    self._model.begin(operation, request), self._model.weather.fate()
                )
            except AnswerLost as error:
                if is_last:
                    raise botocore.exceptions.ReadTimeoutError(endpoint_url="the model") from error
            except ServiceError as error:
                if is_last or error.code not in _REPEATED:
                    raise self._client_error(operation, error) from error
            else:
                return response
            self._driver.sleep(_PAUSE_SECONDS * attempt)
        raise AssertionError("unreachable")

    def _client_error(self, operation: str, error: ServiceError) -> Exception:
        response = {
            "Error": {"Code": error.code, "Message": error.message},
            "ResponseMetadata": {"HTTPStatusCode": 400},
            **error.members,
        }
        kind = self.exceptions.from_code(error.code)
        return cast("Exception", kind(response, operation))


class _QueryPages:
    def __init__(self, client: ModelClient) -> None:
        self._client = client

    def paginate(self, **request: Any) -> Iterator[Mapping[str, Any]]:
        """Give the pages, each asked for when it is needed."""
        while True:
            page = self._client.query(**request)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


@cache
def _service_model() -> ServiceModel:
    loader = Loader()
    return ServiceModel(loader.load_service_model("dynamodb", "service-2"), "dynamodb")


@cache
def _exceptions() -> Any:
    return ClientExceptionsFactory().create_client_exceptions(_service_model())


def _check(operation: str, request: Request) -> None:
    """Raise ParamValidationError unless botocore would send this."""
    shape = _service_model().operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise botocore.exceptions.ParamValidationError(report=report.generate_report())

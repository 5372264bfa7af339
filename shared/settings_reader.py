"""Reads settings from a mapping and reports every problem at once.

Each deployable declares its settings as `Setting` values, and reads them in its own `settings.py`;
the README's table, the example file and the templates are compared with those by tests.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

# Covariant, and by hand: mypy finds that out for itself in a data class, not in a named tuple.
_T_co = TypeVar("_T_co", covariant=True)


class Setting(NamedTuple, Generic[_T_co]):  # noqa: UP046 - see _T_co
    """One declared setting."""

    name: str
    meaning: str
    """What it is for, in one sentence."""
    expects: str
    """What a right value looks like: completes the sentence "expected ..."."""
    parse: Callable[[str], _T_co]
    """Turns the text into the value; raises ValueError for anything else."""
    default: str | None = None
    """The text used where the setting is absent or empty; None makes it required."""
    is_secret: bool = False
    """Whether its value belongs into a secret store, if it is set at all."""
    example: str = ""
    """The text of a right value, which a setting without a default must have. It is read in place
    of a missing or wrong value until every problem is raised."""


class SettingProblem(NamedTuple):
    """What is wrong with one setting."""

    name: str
    message: str

    def __str__(self) -> str:
        """Return the problem as one line."""
        return f"{self.name}: {self.message}"


class SettingsError(Exception):
    """The settings are unusable; `problems` holds everything that is wrong with them."""

    code = "settings_invalid"

    def __init__(self, problems: tuple[SettingProblem, ...]) -> None:
        """Take the problems, of which there is at least one."""
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


class SettingsReader:
    """Collects problems while it reads; made by `reading_settings`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read from `environment` (in production, `os.environ`)."""
        self._environment = environment
        self._problems: list[SettingProblem] = []

    def read[T](self, setting: Setting[T]) -> T:
        """Return the setting's value.

        A problem is noted, and raised when the reading ends. Until then the default stands in for
        the value, or the example where there is none, so that the reading can go on.
        """
        stand_in = setting.example if setting.default is None else setting.default
        text = self._environment.get(setting.name, "").strip()
        if not text:
            if setting.default is None:
                self.reject(setting, f"is missing; expected {setting.expects}")
            return setting.parse(stand_in)
        try:
            return setting.parse(text)
        except ValueError:
            # The value is not shown: what is wrong with it may be that it is a secret's.
            self.reject(setting, f"is not valid; expected {setting.expects}")
            return setting.parse(stand_in)

    def is_set(self, setting: Setting[object]) -> bool:
        """Return whether the environment gives the setting a value."""
        return bool(self._environment.get(setting.name, "").strip())

    def is_rejected(self, setting: Setting[object]) -> bool:
        """Return whether a problem with the setting is noted, so that its value says nothing."""
        return any(problem.name == setting.name for problem in self._problems)

    @property
    def problems(self) -> tuple[SettingProblem, ...]:
        """Return everything that was noted so far."""
        return tuple(self._problems)

    def reject(self, setting: Setting[object], message: str) -> None:
        """Note a problem that only a rule across settings can see."""
        self._problems.append(SettingProblem(setting.name, message))

    def finish(self) -> None:
        """Raise everything that was noted, as one error."""
        if self._problems:
            raise SettingsError(tuple(self._problems))


@contextmanager
def reading_settings(environment: Mapping[str, str]) -> Iterator[SettingsReader]:
    """Give the block a reader, and raise all its problems together when the block ends.

    What the block builds must not be used inside it: a setting with a problem reads as its default
    or example there.

    Raises:
        SettingsError: at the end of the block, if anything was wrong.

    """
    reader = SettingsReader(environment)
    yield reader
    reader.finish()

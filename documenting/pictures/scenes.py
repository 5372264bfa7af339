"""Every command whose terminal the docs show."""

from typing import Final

from documenting.pictures.scene import Scene

SCENES: Final = (
    Scene(
        name="demo",
        title="azure-aws-bridge: the whole bridge, once",
        command=("bridge", "demo"),
        headings=("The bridge at work", "Who did not get in"),
        columns=84,
    ),
)

"""The base class of every contract's model.

What belongs here: nothing but that class. mypy does not follow imports into Pandera (its Ibis types need minutes),
and a class may not derive from an unknown; so mypy is shown the one method that is used, and Python gets Pandera's
own class.
"""

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:

    class DataFrameModel:
        """Pandera's declaration of a table on the Ibis backend."""

        __fields__: ClassVar[dict[str, Any]]

        @classmethod
        def to_schema(cls) -> Any:
            """Compile the declaration."""

        @classmethod
        def validate(cls, check_obj: Any, *, lazy: bool = False) -> Any:
            """Check a table by Pandera itself."""
else:
    from pandera.ibis import DataFrameModel

__all__ = ["DataFrameModel"]

"""The base class of every contract's model.

What belongs here: nothing but that class. mypy does not follow imports into Pandera (its Ibis types need minutes),
and a class may not derive from an unknown; so mypy is shown the methods that are used, and Python gets Pandera's own
class, whose schema takes its columns as they are: Pandera would copy each of 4,500 deeply, although nobody else has them,
at every import of the code location.
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
    from pandera import ibis

    class DataFrameModel(ibis.DataFrameModel):
        """Pandera's declaration of a table on the Ibis backend."""

        @classmethod
        def build_schema_(cls, **kwargs: Any) -> Any:
            """Compile the declaration, without copies of its columns."""
            schema = ibis.DataFrameSchema(checks=cls.__root_checks__, **kwargs)
            schema.columns = cls._build_columns(cls.__fields__, cls.__checks__)
            return schema


__all__ = ["DataFrameModel"]

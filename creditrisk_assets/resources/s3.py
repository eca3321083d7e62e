"""The client that S3 sources are read with.

What belongs here: a client from a connection, by dagster-aws. What does not: reading with it (`ingestion.connectors.s3`).
"""

from typing import Any

from botocore.exceptions import BotoCoreError

from creditrisk_assets.ingestion.configuration import S3Connection
from creditrisk_assets.ingestion.connector import SourceError

RETRIES = 0  # `fetch` tries again, with its own patience; the time-outs are botocore's: 60 seconds of silence


def s3_client(connection: S3Connection) -> Any:
    """Return a boto3 client for a connection; credentials come from the AWS chain when it is first used.

    Parameters
    ----------
    connection
        Endpoint, region and profile; none of them: those of the AWS chain.

    Raises
    ------
    SourceError
        The profile does not exist, or the endpoint is not an address.
    """
    from dagster_aws.s3 import S3Resource  # noqa: PLC0415  # imports every service of AWS there is a resource for

    resource = S3Resource(
        region_name=connection.region,
        endpoint_url=connection.endpoint_url,
        profile_name=connection.profile,
        max_attempts=RETRIES,
    )
    try:
        return resource.get_client()
    except (BotoCoreError, ValueError) as error:
        raise SourceError(
            f"s3://{connection.bucket}: no client can be made ({error}); check `profile` and `endpoint_url`"
        ) from error

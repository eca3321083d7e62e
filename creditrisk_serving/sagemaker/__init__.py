"""The two routes SageMaker asks of a container."""

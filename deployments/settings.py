"""Where this cluster's own addresses and secrets are. Read once per replica, in app.py."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DeploymentSettings(BaseSettings):
    """Set by `becoming-one up` on a laptop, by the Kubernetes secret in production."""

    model_config = SettingsConfigDict(env_prefix="BECOMING_ONE_", frozen=True, extra="ignore")

    service_key: SecretStr | None = Field(
        None, description="Secret with which our applications call each other. Unset: they cannot."
    )
    internal_url: str = Field(
        "http://127.0.0.1:8000", description="Where our applications reach each other: the ingress, from inside."
    )

"""Where this cluster's own addresses and secrets are, and the vendors'. Read once per replica, in app.py."""

from pathlib import Path

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


class VendorSettings(BaseSettings):
    """Who may be asked, under the vendors' own names. A key may stand in a file instead (a mounted secret)."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    openai_api_key: SecretStr | None = Field(None, description="OpenAI's key. Unset: its models are not asked.")
    openai_api_key_file: Path | None = Field(None, description="File that holds it.")
    openai_base_url: str = Field("https://api.openai.com/v1", description="Where OpenAI's API is.")
    anthropic_api_key: SecretStr | None = Field(None, description="Anthropic's key. Unset: its models are not asked.")
    anthropic_api_key_file: Path | None = Field(None, description="File that holds it.")
    anthropic_base_url: str = Field("https://api.anthropic.com", description="Where Anthropic's API is.")
    mistral_api_key: SecretStr | None = Field(None, description="Mistral's key. Unset: its models are not asked.")
    mistral_api_key_file: Path | None = Field(None, description="File that holds it.")
    mistral_base_url: str = Field("https://api.mistral.ai/v1", description="Where Mistral's API is.")

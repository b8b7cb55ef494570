"""Where the stores are. Read from the environment once, in a composition root."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    """Addresses of the stores. URLs may carry passwords: they are secrets in every repr and log."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    redis_url: SecretStr | None = Field(
        None, description="redis://[:password@]host:port/db of Redis or Valkey. Unset: answers are cached per replica."
    )
    user_database_url: SecretStr | None = Field(
        None, description="postgresql://user:password@host:port/database of the `user` database (API keys)."
    )
    redis_timeout_s: float = Field(
        0.25, gt=0, description="Longest wait for one cache operation; past it the answer is made without the cache."
    )

-- API keys (stores/ports.py: ApiKey). The secret itself is never stored, only its sha256.
CREATE TABLE api_keys (
    id            text PRIMARY KEY,
    name          text NOT NULL,
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    role          text NOT NULL CHECK (role IN ('app', 'engineer', 'researcher', 'admin')),
    tenant        text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    revoked_at    timestamptz NULL
);

COMMENT ON COLUMN api_keys.id IS 'Public part of the key: the part that may appear in lists and logs.';

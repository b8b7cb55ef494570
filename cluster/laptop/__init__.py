"""One machine: Valkey, PostgreSQL, Ray and the applications, on loopback, healed when something died."""

"""Kafka event -> state, as Ray actors. Empty until the event system arrives (DESIGN §10): no stub stands here."""

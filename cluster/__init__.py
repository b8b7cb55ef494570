"""How a cluster comes to be.

laptop/  servers from packages, Ray and the applications on one machine: up, down, status, logs
"""

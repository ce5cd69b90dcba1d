//! Drives docker-compose.yml and breaks its containers.

//! Builds and pushes the OCI images of the modules.

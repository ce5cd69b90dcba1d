//! A real Istio mesh in network namespaces.

//! The proxies of the demo, each with its files.

/// One of the three proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// Where clients arrive.
    Edge,
    /// Before the service `orders`.
    Orders,
    /// Before the service `inventory`.
    Inventory,
}

impl Proxy {
    /// Every proxy, from the outside in.
    pub const ALL: [Proxy; 3] = [Proxy::Edge, Proxy::Orders, Proxy::Inventory];

    /// Its name: that of its folder in `target/demo`, its certificate and its service account.
    pub fn name(self) -> &'static str {
        match self {
            Proxy::Edge => "edge",
            Proxy::Orders => "orders",
            Proxy::Inventory => "inventory",
        }
    }

    /// Its bootstrap, from the repository's root.
    pub fn bootstrap(self) -> &'static str {
        match self {
            Proxy::Edge => "envoy-configs/edge/envoy.yaml",
            Proxy::Orders => "envoy-configs/sidecar/orders.envoy.yaml",
            Proxy::Inventory => "envoy-configs/sidecar/inventory.envoy.yaml",
        }
    }

    /// Its policy document, from the repository's root.
    pub fn policy(self) -> &'static str {
        match self {
            Proxy::Edge => "envoy-configs/edge/policy.yaml",
            Proxy::Orders => "envoy-configs/sidecar/orders.policy.yaml",
            Proxy::Inventory => "envoy-configs/sidecar/inventory.policy.yaml",
        }
    }

    /// The file of its module: the smallest that takes its policy.
    pub fn module(self) -> &'static str {
        match self {
            // It limits bodies.
            Proxy::Edge => "sluice-bodies.wasm",
            Proxy::Orders | Proxy::Inventory => "sluice.wasm",
        }
    }
}

//! The ports of the demo, each with its purpose and the variable that moves it.

use crate::{Error, Result, ports};

/// A port with what it is for.
pub struct Purposed {
    /// The port.
    pub port: u16,
    /// What it is for.
    pub purpose: &'static str,
    /// The environment variable that chooses another.
    pub variable: &'static str,
}

macro_rules! ports {
    ($($(#[$doc:meta])* $field:ident = $port:literal, $variable:literal, $purpose:literal;)*) => {
        /// The ports of the demo; `default()` is as the bootstraps have them.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Ports {
            $(#[doc = $purpose] pub $field: u16,)*
        }

        impl Default for Ports {
            fn default() -> Self {
                Self { $($field: $port,)* }
            }
        }

        impl Ports {
            /// As documented, but where an environment variable says otherwise.
            pub fn from_environment() -> Result<Self> {
                Ok(Self { $($field: chosen($variable, $port)?,)* })
            }

            /// All free, for a test.
            pub fn free() -> Self {
                Self { $($field: ports::free(),)* }
            }

            /// Every port with what it is for, in a fixed order.
            pub fn all(&self) -> Vec<Purposed> {
                vec![$(Purposed { port: self.$field, purpose: $purpose, variable: $variable },)*]
            }
        }
    };
}

ports! {
    edge = 10000, "SLUICE_EDGE_PORT", "the edge, where clients arrive";
    edge_admin = 9901, "SLUICE_EDGE_ADMIN_PORT", "the edge's admin interface";
    orders_admin = 9902, "SLUICE_ORDERS_ADMIN_PORT", "the admin interface of the orders sidecar";
    inventory_admin = 9903, "SLUICE_INVENTORY_ADMIN_PORT", "the admin interface of the inventory sidecar";
    orders_inbound_v1 = 10010, "SLUICE_ORDERS_V1_INBOUND_PORT", "the orders sidecar, inbound for version v1";
    orders_inbound_v2 = 10011, "SLUICE_ORDERS_V2_INBOUND_PORT", "the orders sidecar, inbound for version v2";
    orders_outbound = 10012, "SLUICE_ORDERS_OUTBOUND_PORT", "the orders sidecar, outbound";
    inventory_inbound = 10020, "SLUICE_INVENTORY_INBOUND_PORT", "the inventory sidecar, inbound";
    orders_v1 = 10101, "SLUICE_ORDERS_V1_PORT", "the service orders, version v1";
    orders_v2 = 10102, "SLUICE_ORDERS_V2_PORT", "the service orders, version v2";
    inventory = 10111, "SLUICE_INVENTORY_PORT", "the service inventory";
    issuer = 10121, "SLUICE_ISSUER_PORT", "the issuer of the contractors' tokens";
}

impl Ports {
    /// An error that names the first port that is taken.
    pub fn must_be_free(&self) -> Result<()> {
        let Some(taken) = self.all().into_iter().find(|purposed| !ports::is_free(purposed.port)) else {
            return Ok(());
        };
        Err(Error::PortInUse {
            port: taken.port,
            purpose: taken.purpose.to_owned(),
            holder: ports::holder(taken.port),
            variable: Some(taken.variable),
        })
    }
}

fn chosen(variable: &'static str, documented: u16) -> Result<u16> {
    match std::env::var(variable) {
        Err(_) => Ok(documented),
        Ok(text) => match text.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(Error::Other(format!("{variable} must be a port between 1 and 65535, not {text:?}"))),
        },
    }
}

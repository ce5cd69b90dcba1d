//! The shape of the policy document.

use serde::Deserialize;
use serde::de::{self, Deserializer};
use sluice_core::caller::client::ClientSection;
use sluice_core::caller::network::Cidr;
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::place::Place;
use sluice_core::document::entries::{Entries, LongList};
use sluice_core::document::list::OrderedMap;
use sluice_core::document::name::Name;
use sluice_core::document::problem::FieldPath;
use sluice_core::document::variable::VariableName;
use sluice_core::rule::selector::Match;

/// Makes [`Document`] from one line per section: the document's field, the section's type, what its schema says.
macro_rules! sections {
    ($($(#[$attribute:meta])* $feature:literal $field:ident $name:literal: $type:ty;)*) => {
        /// A policy document, version 1.
        #[derive(Clone, Debug, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub struct Document {
            /// The version of the document's grammar: 1.
            #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1)))]
            #[serde(deserialize_with = "version")]
            pub version: u64,
            /// Who is calling, before any proof.
            #[serde(default)]
            pub client: ClientSection,
            /// Named things that sections refer to.
            #[serde(default)]
            pub definitions: Definitions,
            $(
                $(#[$attribute])*
                #[cfg(feature = $feature)]
                #[serde(default, rename = $name)]
                pub $field: Option<$type>,
            )*
        }

        /// The sections that this edition knows, besides `version`, `client` and `definitions`.
        pub const SECTIONS: &[&str] = &[$(#[cfg(feature = $feature)] <$type as PolicySection>::SECTION.field,)*];

        /// The cargo features that bring them, in the same order.
        pub const FEATURES: &[&str] = &[$(#[cfg(feature = $feature)] $feature,)*];

        /// Where the stages of each stand in the order of execution.
        pub const PLACES: &[&[Place]] = &[$(#[cfg(feature = $feature)] <$type as PolicySection>::PLACES,)*];

        impl Document {
            /// Compiles every section into its stages, in the order of execution.
            pub(crate) async fn stages(&self, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
                let root = compiler.root();
                $(
                    #[cfg(feature = $feature)]
                    if let Some(section) = &self.$field {
                        section.declare(&root.field($name), compiler);
                    }
                )*
                let mut stages: Vec<Box<dyn Stage>> = Vec::new();
                $(
                    #[cfg(feature = $feature)]
                    if let Some(section) = &self.$field {
                        stages.extend(section.compile_in_slices(&root.field($name), compiler).await);
                    }
                )*
                let _ = (&root, compiler);
                stages.sort_by_key(|stage| stage.place().order);
                stages
            }

            /// All lists that may be long.
            pub(crate) fn long_lists(&mut self) -> Vec<&mut dyn LongList> {
                let lists = self.definitions.ip_lists.values_mut();
                let mut lists: Vec<&mut dyn LongList> = lists.map(|list| &mut list.cidrs as _).collect();
                $(
                    #[cfg(feature = $feature)]
                    if let Some(section) = &mut self.$field {
                        lists.extend(section.long_lists());
                    }
                )*
                lists.shrink_to_fit();
                lists
            }

            /// The environment variables that the document refers to, in alphabetical order, each once.
            pub fn variables(&self) -> Vec<&VariableName> {
                let mut names: Vec<&VariableName> = Vec::new();
                $(
                    #[cfg(feature = $feature)]
                    names.extend(self.$field.iter().flat_map(PolicySection::variables));
                )*
                names.sort_unstable();
                names.dedup();
                names
            }

            /// The fields that ask for signatures which no host verifies, and what they ask for: such a document needs a module that
            /// verifies by itself.
            pub fn beyond_hosts(&self) -> Vec<(FieldPath, &'static str)> {
                #[cfg(feature = "auth")]
                if let Some(authn) = &self.authn {
                    let beyond = authn.beyond_hosts(&FieldPath::root().field("authn"));
                    return beyond.into_iter().map(|(path, algorithm)| (path, algorithm.name())).collect();
                }
                Vec::new()
            }

            /// The names of the sections that the document has.
            pub fn sections(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(
                    #[cfg(feature = $feature)]
                    if self.$field.is_some() {
                        names.push($name);
                    }
                )*
                names.shrink_to_fit();
                names
            }
        }
    };
}

// A section: the cargo feature that has it, its field here, its field in the document, its type. All else follows from what the type says of
// itself (`PolicySection`).
sections! {
    /// What a request may be like at all: its size, its method, the kind of its content.
    "guard" guard "guard": sluice_guard::GuardSection;
    /// Authentication: who is calling, with proof.
    "auth" authn "authn": sluice_authn::AuthnSection;
    /// Authorization: who may do what.
    "auth" authz "authz": sluice_authz::AuthzSection;
    /// Rate limits.
    "rate-limit" rate_limit "rateLimit": sluice_rate_limit::RateLimitSection;
    /// The life of an API's versions, and which web pages may call it.
    "api" api "api": sluice_api::ApiSection;
    /// Routing to clusters and subsets.
    "routing" routing "routing": sluice_routing::RoutingSection;
    /// Fault injection.
    "fault" fault "fault": sluice_fault::FaultSection;
    /// Answers that are composed of those of several services.
    "compose" compose "compose": sluice_compose::ComposeSection;
    /// Trace context, decisions in the log, labels of metrics.
    "telemetry" telemetry "telemetry": sluice_telemetry::TelemetrySection;
}

/// `definitions`: named things that sections refer to.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Definitions {
    /// Named matches, for `use` in a `match`.
    pub matches: OrderedMap<Name, Match>,
    /// Named lists of networks, for `client.ipLists` in a `match`.
    pub ip_lists: OrderedMap<Name, IpList>,
}

/// A list of networks.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IpList {
    /// Ranges and addresses.
    pub cidrs: Entries<Cidr, true>,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    // A protobuf Struct holds every number as a double.
    let version = f64::deserialize(deserializer)?;
    if version == 1.0 {
        Ok(1)
    } else {
        Err(de::Error::custom(format!(
            "version {version} of the document is not known; this module reads version 1"
        )))
    }
}

//! Roles and their permissions: `authz.roles`, asked by every `when: { permissions: … }`.

use crate::document::list::OrderedMap;
use crate::document::name::Name;
use crate::document::problem::{FieldPath, Problems};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A role: what it permits by itself, and whose permissions it has besides.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RoleConfig {
    /// What the role permits: names of your own, such as `orders:read`.
    pub permissions: Vec<String>,
    /// Roles whose permissions this one has too.
    pub inherits: Vec<Name>,
}

/// Which roles have which permission, inherited ones included.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    names: BTreeSet<String>,
    holders: BTreeMap<String, BTreeSet<String>>,
}

impl Roles {
    /// Compiles `authz.roles`; a role that inherits itself, over however many steps, is a problem.
    pub fn compile(config: &OrderedMap<Name, RoleConfig>, path: &FieldPath, problems: &mut Problems) -> Self {
        let mut roles = Self::default();
        for (name, role) in config.iter() {
            roles.names.insert(name.to_string());
            for (position, parent) in role.inherits.iter().enumerate() {
                if config.get(parent).is_none() {
                    let path = path.field(name.as_str()).field("inherits").index(position);
                    problems.unknown_name(&path, "a role", parent.as_str(), config.keys().map(Name::as_str));
                }
            }
            let mut reached = Vec::new();
            if gather(config, name, &mut reached, name) {
                problems.report(
                    &path.field(name.as_str()).field("inherits"),
                    format!("the role `{name}` inherits itself"),
                );
            }
            for reached in reached {
                for permission in config.get(reached.as_str()).into_iter().flat_map(|role| &role.permissions)
                {
                    roles.holders.entry(permission.clone()).or_default().insert(name.to_string());
                }
            }
        }
        roles
    }

    /// The roles that have `permission`; `None` if no role has it.
    pub fn holders(&self, permission: &str) -> Option<&BTreeSet<String>> {
        self.holders.get(permission)
    }

    /// All permissions that some role has.
    pub fn permissions(&self) -> impl Iterator<Item = &str> {
        self.holders.keys().map(String::as_str)
    }

    /// All roles.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

/// Gathers the roles that `name` has, itself first. True if `start` is among those that it inherits.
fn gather<'r>(
    config: &'r OrderedMap<Name, RoleConfig>,
    name: &'r Name,
    reached: &mut Vec<&'r Name>,
    start: &Name,
) -> bool {
    reached.push(name);
    let mut circular = false;
    for parent in config.get(name).into_iter().flat_map(|role| &role.inherits) {
        circular |= parent == start;
        if !reached.contains(&parent) {
            circular |= gather(config, parent, reached, start);
        }
    }
    circular
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::decode::from_json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn compile(json: &str) -> (Roles, String) {
        let mut problems = Problems::default();
        let config = from_json(json.as_bytes()).unwrap();
        let roles = Roles::compile(&config, &FieldPath::root().field("authz").field("roles"), &mut problems);
        (roles, problems.to_string())
    }

    #[test]
    fn permissions_are_inherited() {
        let (roles, problems) = compile(
            r#"{"reader":{"permissions":["read"]},"clerk":{"inherits":["reader"],"permissions":["write"]},"boss":{"inherits":["clerk"]}}"#,
        );
        assert_eq!(problems, "");
        let holders = |permission| roles.holders(permission).unwrap().iter().cloned().collect::<Vec<_>>();
        assert_eq!(holders("read"), ["boss", "clerk", "reader"]);
        assert_eq!(holders("write"), ["boss", "clerk"]);
        assert!(roles.holders("fly").is_none());
    }

    #[test]
    fn a_role_that_inherits_itself_or_nobody_is_a_problem() {
        let (_, problems) =
            compile(r#"{"a":{"inherits":["b"]},"b":{"inherits":["a"]},"c":{"inherits":["d"]}}"#);
        assert!(problems.contains("authz.roles.a.inherits: the role `a` inherits itself"), "{problems}");
        assert!(problems.contains("authz.roles.c.inherits[0]: `d` is not a role"), "{problems}");
    }
}

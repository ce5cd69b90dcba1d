//! The dashboard's expressions.

use serde_json::Value;

/// A query of a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The panel's title.
    pub panel: String,
    /// The expression.
    pub expression: String,
}

/// Every query of a dashboard.
pub fn queries(dashboard: &Value) -> Vec<Query> {
    let panels = dashboard["panels"].as_array().cloned().unwrap_or_default();
    let queries = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().filter_map(|target| {
            Some(Query {
                panel: panel["title"].as_str()?.to_owned(),
                expression: target["expr"].as_str()?.to_owned(),
            })
        })
    });
    queries.collect()
}

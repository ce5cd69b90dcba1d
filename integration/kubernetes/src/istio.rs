//! Istio's kinds: WasmPlugin, EnvoyFilter, Telemetry and the rest.

use std::path::PathBuf;

use sluice_integration::{Error, Result, repository_root};

use crate::ApiServer;

/// The file with the definitions, as the pinned Istio has it. Set-up puts it beside the programs' folder.
fn definitions() -> Result<PathBuf> {
    let beside_tools =
        std::env::var_os("SLUICE_TOOLS").and_then(|tools| Some(PathBuf::from(tools).parent()?.join("istio")));
    let folders = beside_tools.into_iter().chain([repository_root().join(".tools/istio")]);
    folders.map(|folder| folder.join("crd-all.gen.yaml")).find(|file| file.is_file()).ok_or_else(|| {
        Error::Missing {
            what: "Istio's custom resource definitions (crd-all.gen.yaml)".to_owned(),
            remedy: "run `tools/setup mesh`".to_owned(),
        }
    })
}

impl ApiServer {
    /// Makes Istio's kinds known, and waits until the server serves them.
    ///
    /// # Errors
    /// The definitions are missing, or the server refuses them.
    pub fn install_istio_crds(&self) -> Result<()> {
        let file = definitions()?;
        let file = file
            .to_str()
            .ok_or("the path of this checkout is not UTF-8: kubectl can't be told of a file in it")?;
        self.kubectl(&["apply", "--server-side", "-f", file])?;
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=180s", "crd", "--all"])?;
        Ok(())
    }
}

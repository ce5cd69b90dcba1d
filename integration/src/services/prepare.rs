//! What docker-compose.yml runs before anything else: certificates, the module, and the filters' files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ring::digest::{SHA256, digest};

use crate::certificates::{Authority, identity};
use crate::envoy::replace_file;
use crate::{Error, Proxy, Result};

/// Where each proxy finds its folder: a volume of its own, so that none has the key of another.
const IN_THE_PROXY: &str = "/etc/sluice";

/// What is prepared, and from what.
#[derive(Debug)]
pub struct Preparation {
    /// The folder with a folder for each proxy, and `tools`.
    pub prepared: PathBuf,
    /// The folder of the policy documents `<proxy>.policy.yaml`.
    pub policies: PathBuf,
    /// Folders with modules: the first that has those of all proxies is taken.
    pub modules: Vec<PathBuf>,
    /// The command `sluice`.
    pub command: PathBuf,
}

impl Preparation {
    /// Does it, telling of each step. It can be done again while the proxies run: a policy that has changed is taken over by them,
    /// one that is wrong is refused here; certificates are kept.
    ///
    /// # Errors
    /// When a document is wrong, with what `sluice` says of it; when something is missing or can't be written.
    pub fn perform(&self) -> Result<()> {
        let modules = self.module_folder()?;
        println!("modules: {}", modules.display());
        // All documents first: nothing is replaced when one of them is wrong.
        let mut filters = Vec::new();
        for proxy in Proxy::ALL {
            let policy = self.policies.join(format!("{}.policy.yaml", proxy.name()));
            let module = modules.join(proxy.module());
            let installed = self.install_module(&module, proxy)?;
            filters.push((proxy, policy.clone(), self.render(&policy, &module, &installed)?));
        }
        self.issue_certificates()?;
        for (proxy, policy, filter) in filters {
            let file = self.folder(proxy).join("policy.ecds.yaml");
            // Untouched when it is the same: Envoy would load it again.
            if fs::read_to_string(&file).is_ok_and(|before| before == filter) {
                println!("{}: as before ({})", proxy.name(), policy.display());
            } else {
                replace_file(&file, &filter)?;
                println!("{}: {}", proxy.name(), policy.display());
            }
        }
        self.install_tool()
    }

    fn folder(&self, proxy: Proxy) -> PathBuf {
        self.prepared.join(proxy.name())
    }

    fn module_folder(&self) -> Result<&Path> {
        let whole = |folder: &&PathBuf| Proxy::ALL.iter().all(|proxy| folder.join(proxy.module()).is_file());
        self.modules.iter().find(whole).map(PathBuf::as_path).ok_or_else(|| {
            let folders: Vec<String> =
                self.modules.iter().map(|folder| folder.display().to_string()).collect();
            let mut files = Proxy::ALL.map(Proxy::module).to_vec();
            files.sort_unstable();
            files.dedup();
            Error::Missing {
                what: format!("{} in {}", files.join(" and "), folders.join(" or ")),
                remedy: "take the image sluice-demo, or set SLUICE_MODULE_DIR to a folder with them"
                    .to_owned(),
            }
        })
    }

    /// Copies the module under a name that changes with it: Envoy loads a module again only when its configuration changes.
    fn install_module(&self, module: &Path, proxy: Proxy) -> Result<String> {
        let content = fs::read(module).map_err(|e| Error::file("can't read", module, e))?;
        let hash: String =
            digest(&SHA256, &content).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("sluice-{hash}.wasm");
        let folder = self.folder(proxy);
        fs::create_dir_all(&folder).map_err(|e| Error::file("can't create", &folder, e))?;
        let file = folder.join(&name);
        if !file.is_file() {
            place(&file, &content, 0o444)?;
        }
        Ok(format!("{IN_THE_PROXY}/{name}"))
    }

    /// The filter's file, by `sluice`: it also says whether the document is right and whether the module fits it.
    fn render(&self, policy: &Path, module: &Path, installed: &str) -> Result<String> {
        let run = |arguments: &[&str]| {
            let output = Command::new(&self.command).args(arguments).arg(policy).output();
            let output = output.map_err(|e| Error::file("can't start", &self.command, e))?;
            if output.status.success() {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            } else {
                let said = [output.stdout, output.stderr].concat();
                Err(Error::Other(format!(
                    "{} is wrong: nothing was changed\n{}",
                    policy.display(),
                    String::from_utf8_lossy(&said).trim_end()
                )))
            }
        };
        let module = module.display().to_string();
        run(&["check", "--module", &module])?;
        run(&["render", "envoy", "--ecds", "--module", installed])
    }

    /// A new authority, and a certificate for each proxy; unless all have one.
    fn issue_certificates(&self) -> Result<()> {
        let all_there = Proxy::ALL.iter().all(|proxy| {
            let name = proxy.name();
            let files = [format!("{name}.crt"), format!("{name}.key"), "ca.crt".to_owned()];
            files.iter().all(|file| self.folder(*proxy).join(file).is_file())
        });
        if all_there {
            println!("certificates: as before");
            return Ok(());
        }
        let authority = Authority::new()?;
        for proxy in Proxy::ALL {
            let files = authority.issue(proxy.name(), &identity(proxy.name()), &self.folder(proxy))?;
            fs::set_permissions(&files.key, fs::Permissions::from_mode(0o400))
                .map_err(|e| Error::file("can't protect", &files.key, e))?;
        }
        println!("certificates: a new authority, whose key is nowhere, and a SPIFFE identity for each proxy");
        Ok(())
    }

    /// This program, for the health checks of images that have nothing to ask with.
    fn install_tool(&self) -> Result<()> {
        let this =
            std::env::current_exe().map_err(|e| Error::Other(format!("can't find this program: {e}")))?;
        let content = fs::read(&this).map_err(|e| Error::file("can't read", &this, e))?;
        let folder = self.prepared.join("tools");
        fs::create_dir_all(&folder).map_err(|e| Error::file("can't create", &folder, e))?;
        let file = folder.join("sluice-tour");
        // A program that runs (a health check, while this is done again) can't be written to, but replaced.
        if fs::read(&file).is_ok_and(|before| before == content) {
            Ok(())
        } else {
            place(&file, &content, 0o555)
        }
    }
}

/// Writes a file beside its place and moves it there.
fn place(file: &Path, content: &[u8], mode: u32) -> Result<()> {
    let beside = file.with_extension("next");
    let _ = fs::remove_file(&beside);
    fs::write(&beside, content).map_err(|e| Error::file("can't write", &beside, e))?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode))
        .map_err(|e| Error::file("can't protect", &beside, e))?;
    fs::rename(&beside, file).map_err(|e| Error::file("can't replace", file, e))
}

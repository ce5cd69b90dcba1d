//! docker-compose.yml as it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use sluice_integration::{Error, Result, repository_root, tools};

use crate::{Engine, Output, run};

/// The name of its containers, networks and volumes, beside which a user's own may run.
const NAME: &str = "sluice-compose-test";

/// docker-compose.yml on an engine.
pub struct Project<'e> {
    engine: &'e Engine,
    program: Vec<PathBuf>,
    environment: Vec<(String, String)>,
}

impl<'e> Project<'e> {
    /// The checkout's, by the program `compose`, or by `docker compose` where `docker-compose` is wanted and not there.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn by(compose: &str, engine: &'e Engine) -> Result<Self> {
        let program = match tools::find(compose) {
            Ok(program) => vec![program],
            Err(missing) => {
                let docker = tools::find("docker")?;
                let version = run(engine.command(&docker).args(["compose", "version"]))?;
                if compose != "docker-compose" || !version.success {
                    return Err(missing);
                }
                vec![docker, PathBuf::from("compose")]
            }
        };
        let mut environment = vec![("COMPOSE_PROJECT_NAME".to_owned(), NAME.to_owned())];
        environment.extend(engine.address().map(|address| ("DOCKER_HOST".to_owned(), address.to_owned())));
        Ok(Self { engine, program, environment })
    }

    /// With a variable that docker-compose.yml knows.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether a variable was set by [`Project::with`].
    pub fn has(&self, name: &str) -> bool {
        self.environment.iter().any(|(known, _)| known == name)
    }

    /// How a shell calls it.
    pub fn program(&self) -> String {
        self.program.iter().map(|word| word.display().to_string()).collect::<Vec<_>>().join(" ")
    }

    /// The environment that a shell must have to reach the same containers.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// A command of Compose.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.program.iter();
        let mut command = Command::new(words.next().cloned().unwrap_or_default());
        command.args(words).args(arguments).current_dir(repository_root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command of Compose to its end.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        run(&mut self.command(arguments))
    }

    /// Runs a command of Compose that must succeed.
    ///
    /// # Errors
    /// When it fails: with what it said.
    pub fn done(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?.succeeded(&format!("{} {}", self.program(), arguments.join(" ")))
    }

    /// The lines of a service's log that are JSON.
    ///
    /// # Errors
    /// When they can't be had.
    pub fn json_log(&self, service: &str) -> Result<Vec<Value>> {
        let log = self.done(&["logs", "--no-color", "--no-log-prefix", service])?;
        Ok(log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// What the engine knows of a service's container.
    ///
    /// # Errors
    /// When there is none.
    pub fn inspect(&self, service: &str) -> Result<Value> {
        let project = format!("label=com.docker.compose.project={NAME}");
        let wanted = format!("label=com.docker.compose.service={service}");
        let ids = self.engine.docker(&["ps", "-aq", "--filter", &project, "--filter", &wanted])?;
        let Some(id) = ids.lines().next() else {
            return Err(Error::Other(format!("{service} has no container")));
        };
        let text = self.engine.docker(&["inspect", id])?;
        let inspected: Value =
            serde_json::from_str(&text).map_err(|e| Error::Other(format!("docker inspect {id}: {e}")))?;
        Ok(inspected[0].clone())
    }

    /// The state of a service's container: `running healthy`, `exited none` and so on, with the id of its process.
    ///
    /// # Errors
    /// When there is none.
    pub fn state(&self, service: &str) -> Result<(String, u32)> {
        let state = &self.inspect(service)?["State"];
        let health = state["Health"]["Status"].as_str().unwrap_or("none");
        let pid = state["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        Ok((format!("{} {health}", state["Status"].as_str().unwrap_or("?")), pid))
    }
}

/// `.env` of the checkout.
///
/// # Errors
/// When it can't be read.
pub fn dot_env() -> Result<BTreeMap<String, String>> {
    let file = repository_root().join(".env");
    let text = std::fs::read_to_string(&file).map_err(|e| Error::file("can't read", &file, e))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

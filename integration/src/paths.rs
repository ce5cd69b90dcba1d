//! Where things are: the repository, the Envoy binary, the module.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The root of the checkout: the nearest folder above the current one that has `envoy-configs`, else where this was built.
pub fn repository_root() -> PathBuf {
    let from_here = std::env::current_dir().ok().and_then(|here| {
        here.ancestors().find(|folder| folder.join("envoy-configs/edge").is_dir()).map(Path::to_owned)
    });
    from_here.unwrap_or_else(|| {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
        built_from.parent().unwrap_or(built_from).to_owned()
    })
}

/// The Envoy binary: `ENVOY_BIN`, else the one that the set-up put into `.tools/bin`, else the one on the path.
pub fn envoy_binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("ENVOY_BIN") {
        let named = PathBuf::from(named);
        return if named.is_file() {
            Ok(named)
        } else {
            Err(Error::Missing {
                what: format!("the Envoy that ENVOY_BIN names ({})", named.display()),
                remedy: "correct or unset ENVOY_BIN".to_owned(),
            })
        };
    }
    let installed = repository_root().join(".tools/bin/envoy");
    if installed.is_file() {
        return Ok(installed);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("envoy")).find(|file| file.is_file()).ok_or_else(
        || Error::Missing {
            what: "Envoy".to_owned(),
            remedy: "run `make setup`, or name a binary with ENVOY_BIN".to_owned(),
        },
    )
}

/// The module of that file name, beside the module under test.
pub fn module_named(file: &str) -> Result<PathBuf> {
    let named = module()?.with_file_name(file);
    if named.is_file() {
        return Ok(named);
    }
    Err(Error::Missing {
        what: format!("the module {}", named.display()),
        remedy: "run `make build`".to_owned(),
    })
}

/// The module under test: `SLUICE_WASM`, else `dist/sluice.wasm` of the checkout.
pub fn module() -> Result<PathBuf> {
    let module = match std::env::var_os("SLUICE_WASM") {
        Some(named) => PathBuf::from(named),
        None => repository_root().join("dist/sluice.wasm"),
    };
    match module.canonicalize() {
        Ok(module) => Ok(module),
        Err(_) => Err(Error::Missing {
            what: format!("the module {}", module.display()),
            remedy: "run `make build`, or name one with SLUICE_WASM".to_owned(),
        }),
    }
}

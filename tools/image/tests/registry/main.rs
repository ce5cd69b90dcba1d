//! The images of this checkout in a real registry (Debian's `docker-registry`, on loopback): pushed by `tools/push-images`, pulled by
//! tag and by digest with other tools, and compared with the modules of `dist/`.
//!
//! `make images` comes first: the image of the demo is taken as that made it.

// clippy.toml allows these inside of tests alone, and not in what tests share.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects
)]

mod server;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use serde_json::Value;
use server::{PASSWORD, Registry, USER};
use sluice_image::blob::sha256;
use sluice_integration::{ports, repository_root, tools};
use sluice_metadata::Metadata;
use sluice_trim::edition::{EDITIONS, Edition};
use sluice_trim::trim::trim;
use tempfile::TempDir;

const RELEASE: &str = env!("CARGO_PKG_VERSION");
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

fn dist() -> PathBuf {
    std::env::var_os("SLUICE_DIST").map_or_else(|| repository_root().join("dist"), PathBuf::from)
}

/// Runs it to its end; its output if it succeeded.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn tool(name: &str, arguments: &[&dyn AsRef<OsStr>]) -> String {
    let mut command = Command::new(tools::find(name).unwrap());
    run(command.args(arguments.iter().map(|argument| argument.as_ref())))
}

fn sluice_image() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice-image"));
    command.env("SOURCE_DATE_EPOCH", "1767225600");
    command
}

/// The images of dist's modules, built into a new folder.
fn built() -> TempDir {
    let out = tempfile::tempdir().unwrap();
    let arguments = [OsStr::new("--dist"), dist().as_os_str(), OsStr::new("--out"), out.path().as_os_str()]
        .map(ToOwned::to_owned);
    run(sluice_image().arg("build").args(arguments).args(["--revision", REVISION]));
    out
}

/// What `tools/push-images` says and how it ends, with these images.
fn push(images: &Path, arguments: &[&str], environment: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(repository_root().join("tools/push-images"));
    // Whoever runs the tests may be logged in somewhere.
    command.args(arguments).env("SLUICE_IMAGES", images).env("DOCKER_CONFIG", images);
    command.env_remove("INSECURE").envs(environment.iter().copied());
    command.output().unwrap()
}

/// All files below a folder.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The files in a tar.
fn files_of(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(path, content);
    }
    files
}

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

/// An image as `skopeo copy` leaves it in a folder.
struct Pulled {
    manifest: Vec<u8>,
    layers: Vec<(String, Vec<u8>)>,
}

fn pull(reference: &str) -> Pulled {
    let folder = tempfile::tempdir().unwrap();
    let to = format!("dir:{}", folder.path().display());
    tool("skopeo", &[&"copy", &"--quiet", &"--src-tls-verify=false", &format!("docker://{reference}"), &to]);
    let manifest = fs::read(folder.path().join("manifest.json")).unwrap();
    let layers = serde_json::from_slice::<Value>(&manifest).unwrap()["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| {
            let digest = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let bytes = fs::read(folder.path().join(digest)).unwrap();
            assert_eq!(sha256(&bytes), digest);
            (layer["mediaType"].as_str().unwrap().to_owned(), bytes)
        })
        .collect();
    Pulled { manifest, layers }
}

/// The module that Istio would take: its `pkg/wasm/imagefetcher.go` looks at the last layer, and else for one of two.
fn module_of(pulled: &Pulled) -> Vec<u8> {
    let (kind, bytes) = pulled.layers.last().unwrap();
    if kind == "application/vnd.oci.image.layer.v1.tar+gzip" {
        return files_of(&unzipped(bytes)).remove("plugin.wasm").unwrap();
    }
    assert_eq!(pulled.layers.len(), 2);
    let module = "application/vnd.module.wasm.content.layer.v1+wasm";
    pulled.layers.iter().find(|(kind, _)| kind == module).unwrap().1.clone()
}

#[test]
fn what_is_pushed_is_pulled_by_tag_and_by_digest_and_is_what_dist_has() {
    let images = built();
    let demo = dist().join("images/sluice-demo");
    assert!(demo.is_dir(), "{} is missing: run `make images`", demo.display());
    symlink(&demo, images.path().join("sluice-demo")).unwrap();

    let registry = Registry::start(false);
    let target = format!("{}/team/project", registry.address());
    let output = push(images.path(), &[&target], &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));

    // Name, tag and digest of each, in the order of the names: what a user pins.
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), EDITIONS.len() * 2 + 1, "{said}");
    let digest_of = |reference: &str| {
        let line = lines.iter().find(|line| line[0] == reference);
        line.unwrap_or_else(|| panic!("{reference} in {said}"))[1].to_owned()
    };

    for Edition { name, sections, .. } in EDITIONS {
        let module = fs::read(dist().join(format!("{name}.wasm"))).unwrap();
        for tag in [RELEASE.to_owned(), format!("{RELEASE}-compat")] {
            let by_tag = format!("{target}/{name}:{tag}");
            let digest = digest_of(&by_tag);
            let by_digest = format!("{target}/{name}@{digest}");
            for reference in [&by_tag, &by_digest] {
                let pulled = pull(reference);
                // Neither registry nor tools changed the manifest, and it is none of several.
                assert_eq!(format!("sha256:{}", sha256(&pulled.manifest)), digest, "{reference}");
                assert_eq!(pulled.manifest, tool("crane", &[&"manifest", reference]).into_bytes());
                let local = images.path().join(name).join("blobs/sha256").join(&digest[7..]);
                assert_eq!(pulled.manifest, fs::read(local).unwrap());
                assert!(
                    module_of(&pulled) == module,
                    "{reference} holds another module than dist/{name}.wasm"
                );
            }

            let inspected =
                tool("skopeo", &[&"inspect", &"--tls-verify=false", &format!("docker://{by_tag}")]);
            let inspected: Value = serde_json::from_str(&inspected).unwrap();
            assert_eq!(inspected["Digest"], digest);
            assert_eq!(inspected["Created"], "2026-01-01T00:00:00Z");
            let labels = &inspected["Labels"];
            let expected = [
                ("org.opencontainers.image.version", RELEASE),
                ("org.opencontainers.image.revision", REVISION),
                ("org.opencontainers.image.licenses", "Apache-2.0"),
                ("io.sluice.policy-version", "1"),
                ("io.sluice.edition", name),
                ("io.sluice.sections", &sections.join(",")),
                ("io.sluice.module-sha256", &sha256(&module)),
            ];
            for (label, value) in expected {
                assert_eq!(labels[label], value, "{label} of {by_tag}");
            }
        }

        // The way that docs/images.md shows.
        let exported = tempfile::NamedTempFile::new().unwrap();
        tool("crane", &[&"export", &format!("{target}/{name}:{RELEASE}"), &exported.path()]);
        let files = files_of(&fs::read(exported.path()).unwrap());
        assert_eq!(files.keys().collect::<Vec<_>>(), ["plugin.wasm"]);
        assert!(files["plugin.wasm"] == module);
    }

    // The demo's image holds the modules, and its programs as they were built.
    let reference = format!("{target}/sluice-demo:{RELEASE}");
    let pulled = pull(&reference);
    assert_eq!(format!("sha256:{}", sha256(&pulled.manifest)), digest_of(&reference));
    let files: BTreeMap<String, Vec<u8>> =
        pulled.layers.iter().flat_map(|(_, bytes)| files_of(&unzipped(bytes))).collect();
    for Edition { name, .. } in EDITIONS {
        let module = fs::read(dist().join(format!("{name}.wasm"))).unwrap();
        let same = files[&format!("modules/{name}.wasm")] == module;
        assert!(same, "the demo's image is older than dist/{name}.wasm: run `make images`");
    }
    the_programs_run_where_nothing_else_is(&files);
    the_demo_is_reproducible(&files);
}

/// What the demo's tar gives to who reads it as an OCI layout, as newer Docker Engines do, and to who reads it as older ones do.
#[test]
fn the_demos_tar_is_both_a_layout_and_what_docker_save_writes() {
    let tar = dist().join("images/sluice-demo.tar");
    let inspect = |reference: String| {
        serde_json::from_str::<Value>(&tool("skopeo", &[&"inspect", &"--config", &reference])).unwrap()
    };
    let new = inspect(format!("oci-archive:{}:{RELEASE}", tar.display()));
    let files = files_of(&fs::read(&tar).unwrap());
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let name = manifest[0]["RepoTags"][0].as_str().unwrap();
    assert!(name.ends_with(&format!("/sluice-demo:{RELEASE}")), "{name}");
    let old = inspect(format!("docker-archive:{}:{name}", tar.display()));
    assert_eq!(new["config"]["Entrypoint"], serde_json::json!(["/usr/bin/sluice-tour"]));
    assert_eq!(old["rootfs"], new["rootfs"]);

    // Reading a layer to its end compares it with its digest.
    let folder = tempfile::tempdir().unwrap();
    for (kind, tag) in [("oci-archive", RELEASE), ("docker-archive", name)] {
        let to = format!("dir:{}", folder.path().join(kind).display());
        tool("skopeo", &[&"copy", &"--quiet", &format!("{kind}:{}:{tag}", tar.display()), &to]);
    }
}

/// The lines that docs/images.md gives to users, run as they stand.
#[test]
fn what_the_page_says_to_run_runs() {
    let images = built();
    let registry = Registry::start(false);
    let target = format!("{}/team", registry.address());
    assert!(push(images.path(), &[&target], &[]).status.success());

    let page = fs::read_to_string(repository_root().join("docs/images.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("\n```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    symlink(repository_root().join("docs"), folder.path().join("docs")).unwrap();
    let crane = tools::find("crane").unwrap();
    let mut path = std::ffi::OsString::from(crane.parent().unwrap());
    for more in [dist().into_os_string(), std::env::var_os("PATH").unwrap()] {
        path.push(":");
        path.push(more);
    }
    let outputs: Vec<String> = blocks
        .iter()
        .map(|block| {
            let mut shell = Command::new("bash");
            shell.args(["-e", "-o", "pipefail", "-c", block]).current_dir(folder.path());
            run(shell.env("PATH", &path).env("REGISTRY", &target))
        })
        .collect();
    let index: Value =
        serde_json::from_slice(&fs::read(images.path().join("sluice/index.json")).unwrap()).unwrap();
    assert!(outputs[0].starts_with(index["manifests"][0]["digest"].as_str().unwrap()), "{}", outputs[0]);
    assert!(outputs[0].contains("partners.yaml: fine: "), "{}", outputs[0]);
    assert!(outputs[1].contains("does not accept this section"), "{}", outputs[1]);

    // And it names everything that there is.
    let labels = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = images.path().join("sluice/blobs/sha256").join(&labels[7..]);
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let own =
        manifest["annotations"].as_object().unwrap().keys().filter(|name| name.starts_with("io.sluice."));
    let names = own.cloned().chain(EDITIONS.map(|edition| edition.name.to_owned()));
    for name in names {
        assert!(page.contains(&format!("| `{name}` |")), "docs/images.md has no row for {name}");
    }
}

/// In an empty root, as an ordinary user, by user namespaces: no libraries, no shell.
fn the_programs_run_where_nothing_else_is(files: &BTreeMap<String, Vec<u8>>) {
    let root = tempfile::tempdir().unwrap();
    for program in ["sluice", "sluice-tour"] {
        let file = root.path().join(program);
        fs::write(&file, &files[&format!("usr/bin/{program}")]).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&file, executable).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "chroot"]).arg(root.path()).arg(format!("/{program}"));
        assert_eq!(run(command.arg("--version")).trim(), format!("{program} {RELEASE}"));
    }
}

/// The programs are built once: what they are packed into must be the same every time.
fn the_demo_is_reproducible(files: &BTreeMap<String, Vec<u8>>) {
    let programs = tempfile::tempdir().unwrap();
    for program in ["sluice", "sluice-tour"] {
        fs::write(programs.path().join(program), &files[&format!("usr/bin/{program}")]).unwrap();
    }
    let [one, two] = [(); 2].map(|()| {
        let out = tempfile::tempdir().unwrap();
        let mut command = sluice_image();
        command.args(["demo", "--revision", REVISION, "--dist"]).arg(dist()).arg("--out").arg(out.path());
        command.arg("--tour").arg(programs.path().join("sluice-tour"));
        run(command.arg("--command").arg(programs.path().join("sluice")));
        tree(out.path())
    });
    assert!(one.contains_key(Path::new("sluice-demo.tar")));
    assert!(one == two, "two builds of sluice-demo differ");
}

#[test]
fn a_second_build_gives_the_same_bytes() {
    let (one, two) = (tree(built().path()), tree(built().path()));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (path, bytes) in &one {
        assert!(two[path] == *bytes, "{} differs", path.display());
    }
    assert!(one.contains_key(Path::new("sluice.tar")));
}

#[test]
fn the_command_says_whether_a_document_fits_a_module_that_was_pulled() {
    let images = built();
    let registry = Registry::start(false);
    let target = format!("{}/team", registry.address());
    assert!(push(images.path(), &[&target], &[]).status.success());
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, module: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, module).unwrap();
        let document = repository_root().join("docs/examples/partners.yaml");
        let mut command = Command::new(dist().join("sluice"));
        command.arg("check").arg("--module").arg(&file).arg(document);
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };

    // The document has the sections authn, authz and rateLimit.
    for tag in [RELEASE.to_owned(), format!("{RELEASE}-compat")] {
        let (status, said) = check("plugin.wasm", &module_of(&pull(&format!("{target}/sluice:{tag}"))));
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("partners.yaml: fine: "), "{said}");
        assert!(!said.contains("release"), "{said}");
    }
    let auth = module_of(&pull(&format!("{target}/sluice-auth:{RELEASE}")));
    let (status, said) = check("auth.wasm", &auth);
    assert_eq!(status, Some(1), "{said}");
    let expected = "rateLimit: the module `sluice-auth` does not accept this section; it accepts `authn` and `authz`; `sluice.wasm` accepts all";
    assert!(said.contains(expected), "{said}");

    // A module of another release, with other words about itself: the very bytes of the pulled one else.
    let suite = module_of(&pull(&format!("{target}/sluice:{RELEASE}")));
    let older = Metadata { version: "0.0.9".to_owned(), ..Metadata::of(&suite).unwrap() };
    let older = trim(&suite, &EDITIONS[0].exports(), Some(&older)).unwrap().module;
    let (status, said) = check("older.wasm", &older);
    assert_eq!(status, Some(0), "{said}");
    let expected = format!("the module is of release 0.0.9, this command of {RELEASE}");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_registry_that_wants_a_login_gets_that_of_dockers_configuration() {
    let images = built();
    let registry = Registry::start(true);
    let target = format!("{}/team", registry.address());
    let refused = push(images.path(), &[&target], &[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.starts_with(&format!("error: {target}/sluice:{RELEASE} was not pushed: ")), "{said}");
    assert!(said.contains(&format!("`crane auth login {}`", registry.address())), "{said}");

    let configuration = tempfile::tempdir().unwrap();
    let mut login = Command::new(tools::find("crane").unwrap());
    login.args(["auth", "login", "--username", USER, "--password", PASSWORD, registry.address()]);
    run(login.env("DOCKER_CONFIG", configuration.path()));
    let taken = push(images.path(), &[&target], &[("DOCKER_CONFIG", configuration.path())]);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
}

#[test]
fn a_registry_without_tls_is_taken_only_when_that_is_said() {
    let images = built();
    let registry = Registry::start_at("127.0.0.2", false);
    let target = format!("{}/team", registry.address());
    let refused = push(images.path(), &[&target], &[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("the registry speaks plain HTTP: set INSECURE=1 if that is meant"), "{said}");
    let taken = push(images.path(), &[&target], &[("INSECURE", Path::new("1"))]);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
}

#[test]
fn what_keeps_images_from_being_pushed_is_said_in_one_sentence() {
    let empty = tempfile::tempdir().unwrap();
    let images = built();
    let nobody = format!("127.0.0.1:{}/team", ports::free());
    let table = [
        (empty.path(), vec![], 2, "error: say where to push to, as host[:port]/path: make push REGISTRY="),
        (empty.path(), vec!["127.0.0.1:1/x"], 1, "run `make images` first"),
        (images.path(), vec![nobody.as_str()], 1, "can't be reached: check REGISTRY and the network"),
        (images.path(), vec!["127.0.0.1:1/No Path"], 1, "REGISTRY is not host[:port]/path in lower case"),
    ];
    for (images, arguments, status, sentence) in table {
        let output = push(images, &arguments, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(sentence), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

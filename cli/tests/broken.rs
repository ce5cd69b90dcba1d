//! Every document under `docs/examples/broken` is refused with the words that stand beside it. `SLUICE_BLESS=1 cargo test -p
//! sluice-cli --test broken` writes them anew; look at the difference.

use std::path::{Path, PathBuf};

mod command;
use command::sluice;

fn documents() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/broken");
    let mut documents: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    documents
        .retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "json"));
    documents.sort();
    documents
}

#[test]
fn broken_documents_are_refused_with_the_words_beside_them() {
    let documents = documents();
    assert!(documents.len() >= 12, "{documents:?}");
    let mut wrong = Vec::new();
    for document in documents {
        let name = document.file_name().unwrap().to_str().unwrap();
        let ran = sluice(&["check", name], "", document.parent().unwrap());
        assert_eq!((ran.code, ran.errors.as_str()), (1, ""), "{name}");
        let expected = document.with_extension("expected.txt");
        if std::env::var_os("SLUICE_BLESS").is_some() {
            std::fs::write(&expected, &ran.output).unwrap();
        } else if std::fs::read_to_string(&expected).ok().as_ref() != Some(&ran.output) {
            wrong.push(format!("{name} says now:\n{}", ran.output));
        }
    }
    assert!(wrong.is_empty(), "{}\nSLUICE_BLESS=1 takes these over", wrong.join("\n"));
}

#[test]
fn a_broken_document_is_neither_explained_nor_rendered() {
    for document in documents() {
        let name = document.file_name().unwrap().to_str().unwrap();
        let folder = document.parent().unwrap();
        let checked = sluice(&["check", name], "", folder);
        for command in [
            &["explain", name, "--path", "/"][..],
            &["render", "envoy", name, "--module", "sluice.wasm"],
            &["render", "wasm-plugin", name, "--image", "sluice:1"],
            &["render", "envoy-filter", name, "--image", "sluice:1"],
        ] {
            let ran = sluice(command, "", folder);
            assert_eq!((ran.code, ran.output.as_str()), (1, ""), "{command:?}");
            assert_eq!(ran.errors, checked.output, "{command:?}");
        }
    }
}

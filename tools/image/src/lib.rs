//! Builds and pushes the OCI images of the modules, without a container engine: `make images`, `make push`.
//!
//! - [`module`]: a module of `dist/` as an image, in both forms that Istio takes, and the labels that say what it is.
//! - [`demo`]: `sluice-demo`, which runs: the demo's services and the command, for compose and kind.
//! - [`image`], [`layer`], [`blob`]: what an image is made of, by the types of `oci-spec`.
//! - [`layout`]: an OCI image layout (image-spec, image-layout.md) as a folder and as a tar.
//! - [`provenance`]: which commit, and when.
//! - [`elf`]: whether a program runs in an image that has nothing else.
//! - [`push`]: the images of a folder to a registry, by `crane`.
//!
//! The same input gives the same bytes: no clock, no names of users, and everything in a stated order.

pub mod blob;
pub mod demo;
pub mod elf;
pub mod error;
pub mod image;
pub mod layer;
pub mod layout;
pub mod module;
pub mod provenance;
pub mod push;

pub use error::{Error, Result};

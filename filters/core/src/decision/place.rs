//! What a policy says of itself, once: the section of the document that it is, and its places in the order of execution.

/// A section of the document that decides. Each policy's crate has one, a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Section {
    /// Its field in the document: `rateLimit`.
    pub field: &'static str,
    /// Its name in reasons and metric labels: `rate_limit`.
    pub name: &'static str,
    /// Whether its word is what lets a request in: the access log names the last such word.
    pub admits: bool,
}

/// A place in the order of execution, which is fixed: no document changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Stages of smaller numbers are asked first. Places stand a hundred apart, so that there is room between them; docs/overview.md lists
    /// them all, and a test of the pipeline compares.
    pub order: u16,
    /// Its name for programs: `limitBeforeAuthn`.
    pub name: &'static str,
    /// What happens there, for people: `limits that need no identity`.
    pub title: &'static str,
    /// The section that stands there.
    pub section: Section,
}

// === impl Section ===

impl Section {
    /// What is true of every request, before any section.
    pub const REQUEST: Self = Self::new("request", "request");

    /// The section that stands in the document as `field` and is called `name` in reasons and metric labels.
    pub const fn new(field: &'static str, name: &'static str) -> Self {
        Self { field, name, admits: false }
    }

    /// The same, where its word is what lets a request in.
    #[must_use]
    pub const fn that_admits(self) -> Self {
        Self { admits: true, ..self }
    }

    /// Its place in the order of execution, where it has one only.
    pub const fn place(self, order: u16, title: &'static str) -> Place {
        Place { order, name: self.field, title, section: self }
    }
}

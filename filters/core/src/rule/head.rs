//! What the rules of every section begin with: a name, `match`, `when`, and whether they are in shadow.

use crate::decision::compile::Compiler;
use crate::decision::exchange::Exchange;
use crate::document::name::Name;
use crate::document::problem::FieldPath;
use crate::rule::reachable::{OrderedRule, check_reachable};
use crate::rule::selector::{Match, SelectorId};
use crate::rule::when::{CompiledWhen, When};

/// The head of a rule as the document has it.
#[derive(Clone, Copy, Debug)]
pub struct HeadConfig<'r> {
    /// The rule's name: in reasons, metrics and logs.
    pub name: &'r Name,
    /// Which requests; without it every request.
    pub matches: Option<&'r Match>,
    /// Which callers; without it everybody, proven or not.
    pub when: Option<&'r When>,
    /// Decides, counts and logs, and the rules that follow are asked all the same.
    pub shadow: bool,
}

/// The head of a compiled rule.
#[derive(Debug)]
pub struct Head {
    /// The rule's name.
    pub name: Name,
    /// Its compiled `match`.
    pub selector: SelectorId,
    /// Its compiled `when`.
    pub when: CompiledWhen,
    /// Whether it is in shadow.
    pub shadow: bool,
}

/// A rule as the document has it.
pub trait HasHead {
    /// Its head.
    fn head(&self) -> HeadConfig<'_>;
}

// === impl Head ===

impl Head {
    /// Compiles the rules of a list, which stands at `path`, in which the first rule that applies decides: their heads here, the rest by
    /// `compile`, which gets the rule's own path. Names that stand twice, and rules that are never asked, are problems.
    pub fn compile_rules<R: HasHead, T>(
        rules: &[R],
        path: &FieldPath,
        compiler: &mut Compiler,
        mut compile: impl FnMut(&R, Self, &FieldPath, &mut Compiler) -> T,
    ) -> Vec<T> {
        let heads = Self::compile_ordered(rules.iter().map(HasHead::head), path, compiler);
        let rules = rules.iter().zip(heads).enumerate();
        rules.map(|(position, (rule, head))| compile(rule, head, &path.index(position), compiler)).collect()
    }

    fn compile_ordered<'r>(
        heads: impl IntoIterator<Item = HeadConfig<'r>>,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Vec<Self> {
        let heads: Vec<HeadConfig<'r>> = heads.into_iter().collect();
        compiler.check_unique(heads.iter().map(|head| head.name), path);
        let compiled: Vec<Self> = heads
            .iter()
            .enumerate()
            .map(|(position, head)| head.compile(&path.index(position), compiler))
            .collect();
        let ordered: Vec<OrderedRule<'_>> = heads
            .iter()
            .zip(&compiled)
            .map(|(&HeadConfig { name, when, shadow, .. }, compiled)| OrderedRule {
                name,
                selector: compiled.selector,
                when,
                shadow,
            })
            .collect();
        check_reachable(&ordered, path, compiler);
        compiled
    }

    /// Whether the rule is about this request and this caller. Notes what speaks against it.
    pub fn applies(&self, exchange: &Exchange<'_>) -> bool {
        if !exchange.matches(self.selector) {
            exchange.note(|| format!("rule `{}`: {}", self.name, exchange.unmatched(self.selector)));
            return false;
        }
        if let Some(key) = self.when.unmet(exchange) {
            exchange.note(|| format!("rule `{}`: the caller does not meet `when.{key}`", self.name));
            return false;
        }
        true
    }
}

// === impl HeadConfig ===

impl HeadConfig<'_> {
    /// Compiles the head of the rule at `path`.
    pub fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Head {
        let selector = compiler.selector(self.matches, path);
        let when = When::compile(self.when, selector, &path.field("when"), compiler);
        Head { name: self.name.clone(), selector, when, shadow: self.shadow }
    }
}

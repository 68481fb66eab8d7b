//! How a file looks: its first lines, its length and that of its functions, what a function takes, wildcards.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::sources::SourceFile;

pub(crate) const FILE_LINES_MAX: usize = 500;
pub(crate) const FUNCTION_LINES_MAX: usize = 70;
/// Modules within a file that may import everything from the file around them.
const TEST_MODULES: &[&str] = &["tests", "contract"];

/// A file that does not say what it is for.
pub(crate) fn missing_introduction(file: &SourceFile) -> Option<String> {
    let missing = !file.text.starts_with("//! ");
    missing.then(|| format!("{}: does not begin with '//!' and what the file is for", file.place(1)))
}

/// A file that is too long.
pub(crate) fn long_file(file: &SourceFile) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > FILE_LINES_MAX).then(|| format!("{}: the file has more than {FILE_LINES_MAX} lines", file.place(lines)))
}

/// Functions that are too long, from their signature to the brace that closes them.
pub(crate) fn long_functions(file: &SourceFile) -> Vec<String> {
    let mut functions = Functions::default();
    functions.visit_file(&file.syntax);
    let long = functions.lines.iter().filter(|(first, last)| last - first + 1 > FUNCTION_LINES_MAX);
    let tell = |(first, last): &(usize, usize)| {
        let len = last - first + 1;
        format!("{}: the function has {len} lines, more than {FUNCTION_LINES_MAX}", file.place(*first))
    };
    long.map(tell).collect()
}

/// First and last line of each function.
#[derive(Default)]
struct Functions {
    lines: Vec<(usize, usize)>,
}

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        self.lines.push((signature.span().start().line, body.brace_token.span.close().end().line));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// Declarations that bring in everything of a module of ours, outside of tests.
pub(crate) fn wildcards(file: &SourceFile) -> Vec<String> {
    if TEST_MODULES.iter().any(|name| file.path.ends_with(&format!("/{name}.rs"))) {
        return Vec::new();
    }
    let mut wildcards = Wildcards { places: Vec::new(), is_own: false };
    wildcards.visit_file(&file.syntax);
    wildcards.places.iter().map(|line| format!("{}: a wildcard hides what is used", file.place(*line))).collect()
}

struct Wildcards {
    places: Vec<usize>,
    /// Whether the path so far leads into this crate.
    is_own: bool,
}

impl<'ast> Visit<'ast> for Wildcards {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !TEST_MODULES.iter().any(|name| module.ident == name) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let first = match &item.tree {
            syn::UseTree::Path(path) => path.ident.to_string(),
            _ => String::new(),
        };
        self.is_own = matches!(first.as_str(), "crate" | "super" | "self");
        visit::visit_item_use(self, item);
    }

    fn visit_use_glob(&mut self, glob: &'ast syn::UseGlob) {
        if self.is_own {
            self.places.push(glob.span().start().line);
        }
    }
}

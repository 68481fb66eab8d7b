//! The names that a file uses, and the `use` declarations that it has. Tests within a file are left out.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A path that a file names somewhere.
pub(crate) struct Named {
    pub(crate) names: Vec<String>,
    pub(crate) line: usize,
    /// The modules within the file that it stands in.
    pub(crate) inner: Vec<String>,
}

/// One name that a `use` declaration brings in.
pub(crate) struct Use {
    /// What it is called here; `*` for everything.
    pub(crate) name: String,
    pub(crate) path: Named,
    /// Whether it gives the name on, as a `pub use` does.
    pub(crate) is_public: bool,
}

/// Everything that a file names.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) uses: Vec<Use>,
    pub(crate) paths: Vec<Named>,
    inner: Vec<String>,
}

impl Names {
    /// What a file names.
    pub(crate) fn of(file: &syn::File) -> Self {
        let mut names = Self::default();
        names.visit_file(file);
        names
    }

    fn named(&self, names: Vec<String>, line: usize) -> Named {
        Named { names, line, inner: self.inner.clone() }
    }

    fn add_use(&mut self, tree: &syn::UseTree, before: &[String], is_public: bool) {
        let line = tree.span().start().line;
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        let (name, path) = match tree {
            syn::UseTree::Path(path) => return self.add_use(&path.tree, &with(&path.ident), is_public),
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.add_use(tree, before, is_public));
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                (before.last().cloned().unwrap_or_default(), before.to_vec())
            }
            syn::UseTree::Name(name) => (name.ident.to_string(), with(&name.ident)),
            syn::UseTree::Rename(name) if name.ident == "self" => (name.rename.to_string(), before.to_vec()),
            syn::UseTree::Rename(name) => (name.rename.to_string(), with(&name.ident)),
            syn::UseTree::Glob(_) => ("*".to_owned(), before.to_vec()),
        };
        self.uses.push(Use { name, path: self.named(path, line), is_public });
    }

    /// The paths among the tokens of a macro.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut line, mut colons) = (Vec::new(), 0, 0);
        for token in tokens {
            match &token {
                TokenTree::Ident(name) if colons == 2 && !path.is_empty() => path.push(name.to_string()),
                TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                _ => {
                    self.add_path(std::mem::take(&mut path), line);
                    line = token.span().start().line;
                    match token {
                        TokenTree::Ident(name) => path = vec![name.to_string()],
                        TokenTree::Group(group) => self.add_tokens(group.stream()),
                        _ => {}
                    }
                }
            }
            colons = 0;
        }
        self.add_path(path, line);
    }

    fn add_path(&mut self, names: Vec<String>, line: usize) {
        if !names.is_empty() {
            let named = self.named(names, line);
            self.paths.push(named);
        }
    }
}

/// Whether something is compiled for tests only, or only sometimes.
fn is_conditional(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg"))
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.content.is_some() && !is_conditional(&module.attrs) {
            self.inner.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.inner.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_conditional(&item.attrs) {
            let is_public = !matches!(item.vis, syn::Visibility::Inherited);
            self.add_use(&item.tree, &[], is_public);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add_path(names, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.add_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    // What visibility and attributes name is no import.
    fn visit_visibility(&mut self, _visibility: &'ast syn::Visibility) {}
    fn visit_attribute(&mut self, _attribute: &'ast syn::Attribute) {}
}

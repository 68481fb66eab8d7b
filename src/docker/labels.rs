//! Which labels of a container are its own: it also has all of its image, and those say what whoever made the image
//! likes.
//!
//! Compose gives a container its labels when it makes it. An image that it builds has the project and the service too, and
//! nothing else: only beside a label that Compose gives to containers alone are those of the image believed.

use std::collections::HashMap;

use super::{Container, Error};

const COMPOSE: &str = "com.docker.compose.";
const LARDER: &str = "larder.";
/// What an image may well say of its containers: how they are to be held.
const QUIESCE: &str = "larder.quiesce";
/// What Compose gives to each container, and to no image.
const OF_COMPOSE: [&str; 2] = ["com.docker.compose.project.working_dir", "com.docker.compose.image"];

type Labels = HashMap<String, String>;

/// Labels of images that were asked for, by the id of the image.
#[derive(Debug, Default)]
pub(super) struct ImageLabels(HashMap<String, Labels>);

impl ImageLabels {
    /// Takes from a container the labels that are not its own. `of_image` gives those of an image, and is asked once for each.
    ///
    /// # Errors
    /// Those of `of_image`.
    pub(super) fn disown(
        &mut self,
        container: &mut Container,
        of_image: impl FnOnce(&str) -> Result<Labels, Error>,
    ) -> Result<(), Error> {
        if !container.labels.keys().any(|name| is_guarded(name)) {
            return Ok(());
        }
        let image = &container.image_id;
        if !self.0.contains_key(image) {
            self.0.insert(image.clone(), of_image(image)?);
        }
        if let Some(labels) = self.0.get(&container.image_id) {
            disown(container, labels);
        }
        Ok(())
    }
}

/// Whether a label says what is done with a container, so that no image may say it.
fn is_guarded(name: &str) -> bool {
    name.starts_with(COMPOSE) || (name.starts_with(LARDER) && name != QUIESCE)
}

fn disown(container: &mut Container, of_image: &Labels) {
    let is_own = |name: &str| container.labels.get(name).is_some_and(|value| of_image.get(name) != Some(value));
    let by_compose = OF_COMPOSE.iter().any(|name| is_own(name));
    let is_foreign = |name: &str| is_guarded(name) && !is_own(name) && !(by_compose && name.starts_with(COMPOSE));
    let foreign: Vec<String> = container.labels.keys().filter(|name| is_foreign(name)).cloned().collect();
    for name in foreign {
        if let Some(value) = container.labels.remove(&name) {
            container.foreign_labels.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerInspectResponse};

    use super::*;

    fn labels(of: &[(&str, &str)]) -> Labels {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The labels of a container that are left, and those that are not believed, without what comes before the last dot.
    fn sorted(of_container: &[(&str, &str)], of_image: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let config = ContainerConfig { labels: Some(labels(of_container)), ..ContainerConfig::default() };
        let found = ContainerInspectResponse { config: Some(config), ..ContainerInspectResponse::default() };
        let mut container = Container::from(found);
        disown(&mut container, &labels(of_image));
        let names = |labels: &Labels| {
            let mut names: Vec<String> =
                labels.keys().map(|name| name.rsplit('.').next().unwrap_or_default().to_owned()).collect();
            names.sort();
            names
        };
        (names(&container.labels), names(&container.foreign_labels))
    }

    const PROJECT: (&str, &str) = ("com.docker.compose.project", "shop");
    const SERVICE: (&str, &str) = ("com.docker.compose.service", "db");
    const DIRECTORY: (&str, &str) = ("com.docker.compose.project.working_dir", "/srv/shop");
    const IMAGE: (&str, &str) = ("com.docker.compose.image", "sha256:1");
    const DATABASE: (&str, &str) = ("larder.database", "true");
    const QUIESCE: (&str, &str) = ("larder.quiesce", "stop");

    /// A container of an image with such labels was taken for a part of the project, and its volumes and databases for the
    /// project's.
    #[test]
    fn an_image_makes_its_containers_no_part_of_a_project() {
        let all = [PROJECT, SERVICE, DIRECTORY, DATABASE, QUIESCE];
        let (own, foreign) = sorted(&all, &all);
        assert_eq!(
            (own.join(" "), foreign.join(" ")),
            ("quiesce".into(), "database project service working_dir".into())
        );
        // A project that somebody gave a container by hand gives it no directory.
        let by_hand = ("com.docker.compose.project", "group");
        let (own, foreign) = sorted(&[by_hand, SERVICE, DIRECTORY], &[PROJECT, SERVICE, DIRECTORY]);
        assert_eq!((own.join(" "), foreign.join(" ")), ("project".into(), "service working_dir".into()));
    }

    /// Compose writes the project and the service into each image that it builds, too.
    #[test]
    fn what_compose_made_is_part_of_its_project() {
        let all = [PROJECT, SERVICE, DIRECTORY];
        let believed = |of_image: &[_]| assert_eq!(sorted(&all, of_image).1, [""; 0]);
        believed(&[]);
        believed(&[PROJECT, SERVICE]);
        believed(&[("com.docker.compose.project", "evil"), ("com.docker.compose.project.working_dir", "/srv/evil")]);
        // An image of a container that Compose made has all of its labels.
        assert_eq!(sorted(&[PROJECT, SERVICE, DIRECTORY, IMAGE], &all).1, [""; 0]);
        assert_eq!(sorted(&[PROJECT, DIRECTORY, DATABASE], &[DATABASE]).1, ["database"]);
    }
}

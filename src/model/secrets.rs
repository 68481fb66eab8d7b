//! Secrets in options of volume drivers, and in messages that repeat them: what is stored or shown has a word in their place.
//!
//! What is a secret is told by names, so it may be one option too many, and never one of a name that is not known here.

use std::borrow::Cow;

/// What stands in the place of a secret.
pub const SECRET: &str = "<secret>";

/// Parts of names whose values are secrets.
const SECRET_NAMES: [&str; 4] = ["pass", "secret", "token", "key"];
/// Whole names of that kind.
const WHOLE_SECRET_NAMES: [&str; 3] = ["pwd", "pw", "auth"];
/// Ends of names whose values say where a secret lies.
const PLACE_NAMES: [&str; 3] = ["file", "path", "ring"];
/// Names of users, to whom a mount of CIFS lets the password be added.
const USER_NAMES: [&str; 2] = ["user", "username"];

/// The value of a driver's option without the secrets in it: in itself, in a list like `username=u,password=p`, and in a URL.
#[must_use]
pub fn without_secrets(name: &str, value: &str) -> String {
    if is_secret(name, value) {
        return SECRET.to_owned();
    }
    let mut shown: Vec<Cow<'_, str>> = Vec::new();
    let mut parts = value.split(',').peekable();
    while let Some(part) = parts.next() {
        let Some((name, value)) = part.split_once('=') else {
            shown.push(Cow::Borrowed(part));
            continue;
        };
        if is_secret(name, value) {
            shown.push(format!("{name}={SECRET}").into());
            // A comma in a password is written twice.
            while parts.next_if(|part| part.is_empty()).is_some() {
                parts.next();
            }
        } else if let (true, Some((user, _))) = (USER_NAMES.contains(&plain(name).as_str()), value.split_once('%')) {
            shown.push(format!("{name}={user}%{SECRET}").into());
        } else {
            shown.push(Cow::Borrowed(part));
        }
    }
    without_password(&shown.join(","))
}

/// An address without the password before its `@`.
fn without_password(address: &str) -> String {
    let masked = || {
        let (start, rest) = address.split_once("//")?;
        let (login, place) = rest.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{start}//{user}:{SECRET}@{place}"))
    };
    masked().unwrap_or_else(|| address.to_owned())
}

/// A message of somebody else, who may repeat options and addresses in it: `… //u:p@server/share …, data: password=p: no such device`.
#[must_use]
pub fn message_without_secrets(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = rest.split_once('=') {
        let is_of_name = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.');
        let name = before.rsplit(|char| !is_of_name(char)).next().unwrap_or_default();
        shown.push_str(before);
        shown.push('=');
        rest = after;
        // A comma in a value is written twice.
        let single = |(at, _): &(usize, &str)| {
            after.get(at + 1..).is_none_or(|more| !more.starts_with(',')) && !after[..*at].ends_with(',')
        };
        let comma = after.match_indices(',').find(single).map(|(at, _)| at);
        let ends = [comma, after.find(": "), after.find(['\n', '"'])];
        let end = ends.into_iter().flatten().min().unwrap_or(after.len());
        let (value, behind) = after.split_at(end);
        if is_secret(name, value) {
            shown.push_str(SECRET);
            rest = behind;
        } else if let (true, Some((user, _))) = (USER_NAMES.contains(&plain(name).as_str()), value.split_once('%')) {
            shown.extend([user, "%", SECRET]);
            rest = behind;
        }
    }
    shown.push_str(rest);
    shown.split(' ').map(without_password).collect::<Vec<_>>().join(" ")
}

fn is_secret(name: &str, value: &str) -> bool {
    let name = plain(name);
    if value.is_empty() || PLACE_NAMES.iter().any(|end| name.ends_with(end)) {
        return false;
    }
    let is_named = SECRET_NAMES.iter().any(|part| name.contains(part)) || WHOLE_SECRET_NAMES.contains(&name.as_str());
    // Mostly they name a file.
    is_named || (name.contains("cred") && !value.starts_with('/'))
}

fn plain(name: &str) -> String {
    name.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_known_names_are_masked_and_all_else_stays() {
        for (name, value, shown) in [
            ("o", "username=u,password=p,vers=3.0,ro", "username=u,password=<secret>,vers=3.0,ro"),
            ("o", "PASS=p=q,uid=1000", "PASS=<secret>,uid=1000"),
            ("o", "password=a,,b,,c,ro", "password=<secret>,ro"),
            ("o", "user=u%p,credentials=/etc/cifs", "user=u%<secret>,credentials=/etc/cifs"),
            ("o", "name=admin,secret=AQ==,secretfile=/etc/ceph", "name=admin,secret=<secret>,secretfile=/etc/ceph"),
            ("o", "guest,password=,sec=ntlm", "guest,password=,sec=ntlm"),
            ("o", "addr=10.0.0.1,rw,nfsvers=4", "addr=10.0.0.1,rw,nfsvers=4"),
            ("o", "size=100m,uid=1000,lowerdir=/a:/b", "size=100m,uid=1000,lowerdir=/a:/b"),
            ("type", "cifs", "cifs"),
            ("device", "//server/share", "//server/share"),
            ("device", "//u:p/w@server/share", "//u:<secret>@server/share"),
            ("device", ":/export,a", ":/export,a"),
            ("endpoint", "https://u:p@host:1/x", "https://u:<secret>@host:1/x"),
            ("Password", "p", "<secret>"),
            ("o", "pw=p,auth=q,author=a", "pw=<secret>,auth=<secret>,author=a"),
            ("s3_secretAccessKey", "p", "<secret>"),
            ("credentials", "{\"a\":1}", "<secret>"),
            ("sshcmd", "u@host:/path", "u@host:/path"),
            ("IdentityFile", "/root/.ssh/id", "/root/.ssh/id"),
        ] {
            assert_eq!(without_secrets(name, value), shown, "{name}={value}");
        }
    }

    #[test]
    fn a_message_repeats_no_secret() {
        for (message, shown) in [
            (
                "failed to mount local volume: mount //u:p@s/share:/var/_data, data: user=u%p,vers=3,password=p q,,r: no such device",
                "failed to mount local volume: mount //u:<secret>@s/share:/var/_data, data: user=u%<secret>,vers=3,password=<secret>: no such device",
            ),
            ("invalid option: \"secretkey=p\", and more=x", "invalid option: \"secretkey=<secret>\", and more=x"),
            ("password=p,ro", "password=<secret>,ro"),
            ("no such image: a@b, e=mc=2", "no such image: a@b, e=mc=2"),
            ("dial unix:///run/docker.sock: a@b", "dial unix:///run/docker.sock: a@b"),
        ] {
            assert_eq!(message_without_secrets(message), shown);
        }
    }

    #[test]
    fn an_address_keeps_all_but_its_password() {
        for (address, shown) in [
            ("https://u:p@ss@host:80/x", "https://u:<secret>@host:80/x"),
            ("https://host:80/x", "https://host:80/x"),
            ("ssh://u@host", "ssh://u@host"),
            ("unix:///run/docker.sock", "unix:///run/docker.sock"),
        ] {
            assert_eq!(without_password(address), shown);
        }
    }
}

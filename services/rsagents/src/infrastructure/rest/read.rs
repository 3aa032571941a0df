//! What callers send about packages, read member by member.

use events::{
    AgentPackage, AgentPackageId, AgentPackageState, Bounded, Count, HttpUrl, IspId, Revision, Text,
};
use problem::{
    Problem,
    body::{Body, text},
};
use serde_json::Value;

use crate::domain::{PackageChange, State};

/// Most models that a package runs on, and most characters of each: a list of all packages has room in one record.
const MODELS_MAX: usize = 50;
const MODEL_CHARS_MAX: usize = 64;
const VERSION_CHARS_MAX: usize = 64;
const SIGNATURE_CHARS_MAX: usize = 128;
const SHA256_CHARS: usize = 64;

/// A package of this ISP that is new: a draft where nothing else is said.
pub(super) fn new_package(
    value: Value,
    isp_id: IspId,
    id: AgentPackageId,
) -> Result<AgentPackage, Problem> {
    let mut body = Body::of(value)?;
    let version = body.required("version", version);
    let models = body.required("models", models);
    let url = body.required("url", url);
    let sha256 = body.required("sha256", sha256);
    let size_bytes = body.required("size_bytes", size_bytes);
    let signature = body.required("signature", signature);
    let state = body.optional("state", first_state);
    body.finish(())?;
    let read = "what is not there was refused";
    Ok(AgentPackage {
        agent_package_id: id,
        isp_id,
        revision: Revision::default(),
        version: version.expect(read),
        models: models.expect(read),
        url: url.expect(read),
        sha256: sha256.expect(read),
        size_bytes: size_bytes.expect(read),
        signature: signature.expect(read),
        state: state.unwrap_or(AgentPackageState::Draft),
    })
}

/// Every member of a package.
pub(super) fn whole(value: Value) -> Result<PackageChange, Problem> {
    let mut body = Body::of(value)?;
    let change = PackageChange {
        version: body.required("version", version),
        models: body.required("models", models),
        url: body.required("url", url),
        sha256: body.required("sha256", sha256),
        size_bytes: body.required("size_bytes", size_bytes),
        signature: body.required("signature", signature),
        state: body.required("state", state),
    };
    body.finish(change)
}

/// Some members of a package.
pub(super) fn part(value: Value) -> Result<PackageChange, Problem> {
    let mut body = Body::of(value)?;
    let change = PackageChange {
        version: body.optional("version", version),
        models: body.optional("models", models),
        url: body.optional("url", url),
        sha256: body.optional("sha256", sha256),
        size_bytes: body.optional("size_bytes", size_bytes),
        signature: body.optional("signature", signature),
        state: body.optional("state", state),
    };
    body.finish(change)
}

/// A model of routers.
pub(super) fn model(name: &str) -> Option<Text> {
    let is_short = (1..=MODEL_CHARS_MAX).contains(&name.chars().count());
    is_short.then(|| Text::try_from(name.to_owned()).ok()).flatten()
}

fn version(value: &Value) -> Result<Text, &'static str> {
    const FORM: &str = "must be a semantic version of at most 64 characters, such as 4.2.0";
    let said = text(value).map_err(|_| FORM)?;
    match semver::Version::parse(said) {
        Ok(_) if said.len() <= VERSION_CHARS_MAX => {
            Text::try_from(said.to_owned()).map_err(|_| FORM)
        }
        Ok(_) | Err(_) => Err(FORM),
    }
}

fn models(value: &Value) -> Result<Bounded<Text>, &'static str> {
    const FORM: &str = "must be a list of 1 to 50 different models of 1 to 64 characters";
    let names = value.as_array().filter(|it| (1..=MODELS_MAX).contains(&it.len())).ok_or(FORM)?;
    let mut models = Vec::new();
    for name in names {
        let name = name.as_str().and_then(model).ok_or(FORM)?;
        if models.contains(&name) {
            return Err(FORM);
        }
        models.push(name);
    }
    Bounded::try_from(models).map_err(|_| FORM)
}

fn url(value: &Value) -> Result<HttpUrl, &'static str> {
    const FORM: &str =
        "must be an absolute URL of at most 2048 bytes that begins with https:// or http://";
    let said = text(value).map_err(|_| FORM)?;
    HttpUrl::try_from(said.to_owned()).map_err(|_| FORM)
}

fn sha256(value: &Value) -> Result<Text, &'static str> {
    const FORM: &str = "must be 64 hexadecimal digits in lower case";
    let said = text(value).map_err(|_| FORM)?;
    let is_digit = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    match said.len() == SHA256_CHARS && said.bytes().all(is_digit) {
        true => Text::try_from(said.to_owned()).map_err(|_| FORM),
        false => Err(FORM),
    }
}

fn size_bytes(value: &Value) -> Result<Count, &'static str> {
    const FORM: &str = "must be a number of bytes from 1 to 2^53 - 1";
    let bytes = value.as_u64().filter(|it| *it > 0).ok_or(FORM)?;
    Count::try_from(bytes).map_err(|_| FORM)
}

fn signature(value: &Value) -> Result<String, &'static str> {
    const FORM: &str = "must be an Ed25519 signature in Base64";
    let said = text(value).map_err(|_| FORM)?;
    let is_sign = |it: u8| it.is_ascii_alphanumeric() || b"+/-_=".contains(&it);
    match (1..=SIGNATURE_CHARS_MAX).contains(&said.len()) && said.bytes().all(is_sign) {
        true => Ok(said.to_owned()),
        false => Err(FORM),
    }
}

fn state(value: &Value) -> Result<AgentPackageState, &'static str> {
    let named = value.as_str().and_then(State::named);
    named.ok_or("must be draft, released, deprecated or revoked")
}

fn first_state(value: &Value) -> Result<AgentPackageState, &'static str> {
    match state(value) {
        Ok(it @ (AgentPackageState::Draft | AgentPackageState::Released)) => Ok(it),
        Ok(AgentPackageState::Deprecated | AgentPackageState::Revoked) | Err(_) => {
            Err("must be draft or released")
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn package() -> Value {
        json!({
            "version": "4.2.0-rc.1+linux", "models": ["hg-8000"], "url": "https://example.org/p",
            "sha256": "0123456789abcdef".repeat(4), "size_bytes": 7, "signature": "aB-_+/0=",
        })
    }

    fn wrong(read: Result<impl std::fmt::Debug, Problem>) -> String {
        read.unwrap_err().to_string().replace("; ", "\n")
    }

    fn new(value: Value) -> Result<AgentPackage, Problem> {
        new_package(value, "isp-1".parse().unwrap(), "p-1".parse().unwrap())
    }

    #[test]
    fn a_new_package_is_a_draft_or_released_and_whole() {
        assert_eq!(new(package()).unwrap().state, AgentPackageState::Draft);
        let with = |state: &str| {
            let mut value = package();
            value["state"] = json!(state);
            value
        };
        assert_eq!(new(with("released")).unwrap().state, AgentPackageState::Released);
        expect![[r"
            The input is not valid: some members of the body are wrong
            /state: must be draft or released"]]
        .assert_eq(&wrong(new(with("revoked"))));
        expect![[r"
            The input is not valid: some members of the body are wrong
            /version: must be there
            /models: must be there
            /url: must be there
            /sha256: must be there
            /size_bytes: must be there
            /signature: must be there"]]
        .assert_eq(&wrong(new(json!({}))));
        assert!(wrong(whole(package())).ends_with("/state: must be there"));
        assert!(whole(with("revoked")).is_ok());
    }

    #[test]
    fn each_member_has_its_form() {
        assert_eq!(part(json!({})).unwrap(), PackageChange::default());
        let upper = "A".repeat(64);
        let all = json!({
            "version": "4.2", "models": [], "url": "ftp://example.org/p", "sha256": upper,
            "size_bytes": 0, "signature": "a b", "state": "gone", "revision": 7,
        });
        expect![[r"
            The input is not valid: some members of the body are wrong
            /version: must be a semantic version of at most 64 characters, such as 4.2.0
            /models: must be a list of 1 to 50 different models of 1 to 64 characters
            /url: must be an absolute URL of at most 2048 bytes that begins with https:// or http://
            /sha256: must be 64 hexadecimal digits in lower case
            /size_bytes: must be a number of bytes from 1 to 2^53 - 1
            /signature: must be an Ed25519 signature in Base64
            /state: must be draft, released, deprecated or revoked
            /revision: is not known here"]]
        .assert_eq(&wrong(part(all)));
        let long = format!("1.0.0-{}", "a".repeat(59));
        let many: Vec<String> = (0..51).map(|it| it.to_string()).collect();
        for (member, value) in [
            ("version", json!("v4.2.0")),
            ("version", json!("04.2.0")),
            ("version", json!(long)),
            ("version", json!(4)),
            ("models", json!("hg-8000")),
            ("models", json!(["hg-8000", "hg-8000"])),
            ("models", json!([""])),
            ("models", json!(["a\nb"])),
            ("models", json!(many)),
            ("url", json!("example.org/p")),
            ("sha256", json!("ab")),
            ("size_bytes", json!(1.5)),
            ("size_bytes", json!(1_u64 << 53)),
            ("signature", json!("")),
            ("signature", json!(null)),
        ] {
            let wrong = wrong(part(json!({ member: value.clone() })));
            assert!(wrong.contains(&format!("/{member}: must")), "{value}: {wrong}");
        }
    }
}

use std::collections::BTreeMap;

use auth::{AuthSettings, Caller, Grant, Signer, TrustedKey, Verifier};
use axum::{
    Router,
    body::Body,
    extract::FromRef,
    http::{Request, header},
    routing::get,
};
use events::IspId;
use expect_test::expect;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use problem::Problem;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// The service under test, as a router that wants a scope and a tenant.
#[derive(Clone)]
struct App(Verifier);

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.0.clone()
    }
}

/// A pair of keys in PEM.
struct Pair {
    private: String,
    public: String,
}

impl Pair {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self { private: key.serialize_pem(), public: key.public_key_pem() }
    }
}

/// The door with two trusted issuers: `gateway-isp` speaks for ISPs, `rsctl` for operators.
struct Door {
    gateway: Pair,
    rsctl: Pair,
    router: Router,
}

impl Door {
    fn new() -> Self {
        let (gateway, rsctl) = (Pair::new(), Pair::new());
        let trusted = |pair: &Pair, issuer: &str, scopes: &str, isp_optional| TrustedKey {
            issuer: issuer.to_owned(),
            public_key: pair.public.clone(),
            scopes: scopes.to_owned(),
            isp_optional,
        };
        let settings = AuthSettings {
            keys: BTreeMap::from([
                ("a".to_owned(), trusted(&gateway, "gateway-isp", "sync:read", false)),
                ("b".to_owned(), trusted(&rsctl, "rsctl", "sync:read internal", true)),
                // A key that rsctl had before: both hold while they change.
                ("c".to_owned(), trusted(&Pair::new(), "rsctl", "sync:read", true)),
            ]),
        };
        let app = App(Verifier::new("rssync", &settings).unwrap());
        let handler = async |caller: Caller| -> Result<String, Problem> {
            caller.require("sync:read")?;
            let isp: IspId = "isp-1".parse().unwrap();
            caller.tenant(&isp)?;
            Ok(format!("{} of {:?}", caller.subject, caller.isp_id.map(String::from)))
        };
        let router = Router::new().route("/", get(handler)).with_state(app);
        Self { gateway, rsctl, router }
    }

    /// What is answered to this `Authorization`.
    async fn answer(&self, authorization: &str) -> String {
        let request = Request::get("/").header(header::AUTHORIZATION, authorization);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> String {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let asks = response.headers().contains_key(header::WWW_AUTHENTICATE);
        assert_eq!(asks, status == 401);
        let is_problem = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|it| it == "application/problem+json");
        assert_eq!(is_problem, status != 200);
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        match serde_json::from_str::<Value>(&text) {
            Ok(problem) => format!("{status} {}", problem["detail"].as_str().unwrap()),
            Err(_) => format!("{status} {text}"),
        }
    }

    async fn bearer(&self, token: &str) -> String {
        self.answer(&format!("Bearer {token}")).await
    }

    /// What is answered to the gateway's good claims with these changes.
    async fn changed(&self, changes: Value) -> String {
        let mut claims = good();
        for (name, it) in changes.as_object().unwrap() {
            match it.is_null() {
                true => drop(claims.as_object_mut().unwrap().remove(name)),
                false => claims[name] = it.clone(),
            }
        }
        self.bearer(&signed(&claims, &self.gateway)).await
    }
}

fn good() -> Value {
    json!({
        "iss": "gateway-isp", "aud": "rssync", "sub": "ada", "isp_id": "isp-1",
        "scope": "sync:read", "exp": get_current_timestamp() + 60,
    })
}

/// A token as a foreign implementation would make it.
fn signed(claims: &Value, pair: &Pair) -> String {
    let der: Vec<u8> = {
        use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
        let key = PrivatePkcs8KeyDer::from_pem_slice(pair.private.as_bytes()).unwrap();
        key.secret_pkcs8_der().to_vec()
    };
    encode(&Header::new(Algorithm::EdDSA), claims, &EncodingKey::from_ed_der(&der)).unwrap()
}

#[tokio::test]
async fn a_token_that_holds_says_who_calls() {
    let door = Door::new();
    let operator = Signer::new("rsctl", &door.rsctl.private).unwrap();
    let grant = Grant { audience: "rssync", subject: "op", isp_id: None, scopes: &["sync:read"] };
    let answers = [
        door.bearer(&signed(&good(), &door.gateway)).await,
        door.bearer(&operator.token(&grant).unwrap()).await,
        door.answer(&format!("bearer {}", operator.token(&grant).unwrap())).await,
    ];
    expect![[r#"
        200 ada of Some("isp-1")
        200 op of None
        200 op of None"#]]
    .assert_eq(&answers.join("\n"));
}

#[tokio::test]
async fn a_caller_without_the_scope_is_refused_and_a_foreign_tenant_sees_nothing() {
    let door = Door::new();
    let answers = [
        door.changed(json!({ "scope": "" })).await,
        door.changed(json!({ "isp_id": "isp-2" })).await,
    ];
    expect![[r#"
        403 this needs the scope `sync:read`
        404 Not found"#]]
    .assert_eq(&answers.join("\n"));
}

#[tokio::test]
async fn claims_that_do_not_fit_are_refused_each_with_its_sentence() {
    let door = Door::new();
    let now = get_current_timestamp();
    let mut answers = Vec::new();
    for changes in [
        json!({ "aud": "rsclient" }),
        json!({ "aud": ["rssync", "rsclient"] }),
        json!({ "aud": null }),
        json!({ "exp": now - 60 }),
        json!({ "exp": now + 360 }),
        json!({ "exp": null }),
        json!({ "exp": "tomorrow" }),
        json!({ "iss": "rsctl" }),
        json!({ "iss": "nobody" }),
        json!({ "iss": null }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": "ada\n" }),
        json!({ "scope": "sync:read sync:write" }),
        json!({ "scope": null }),
        json!({ "isp_id": null }),
        json!({ "isp_id": "no isp" }),
    ] {
        answers.push(format!("{}: {}", changes_shown(&changes), door.changed(changes).await));
    }
    expect![[r#"
        aud "rsclient": 401 the token is for another service
        aud ["rssync","rsclient"]: 401 the token is malformed
        aud null: 401 the token is malformed
        another exp: 401 the token has expired
        another exp: 401 the token lives for more than five minutes
        exp null: 401 the token is malformed
        exp "tomorrow": 401 the token is malformed
        iss "rsctl": 401 nobody who is trusted has signed the token
        iss "nobody": 401 nobody who is trusted has signed the token
        iss null: 401 the token is malformed
        sub null: 401 the token is malformed
        sub "": 401 the token names no subject, or none that can be shown
        sub "ada\n": 401 the token names no subject, or none that can be shown
        scope "sync:read sync:write": 401 the token grants what its issuer may not grant
        scope null: 401 the token is malformed
        isp_id null: 401 the token must name an ISP
        isp_id "no isp": 401 the token is malformed"#]]
    .assert_eq(&answers.join("\n"));
}

fn changes_shown(changes: &Value) -> String {
    let (name, it) = changes.as_object().unwrap().iter().next().unwrap();
    if it.is_number() { format!("another {name}") } else { format!("{name} {it}") }
}

#[tokio::test]
async fn only_what_a_trusted_key_has_signed_with_eddsa_is_read() {
    let door = Door::new();
    let good = signed(&good(), &door.gateway);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, payload) = message.split_once('.').unwrap();
    let none = base64url(br#"{"alg":"none","typ":"JWT"}"#);
    let public = EncodingKey::from_secret(door.gateway.public.as_bytes());
    let hmac = |claims: &Value| encode(&Header::new(Algorithm::HS256), claims, &public).unwrap();
    let more = self::good().to_string().replace("sync:read", "sync:read internal");
    let answers = [
        door.bearer(&signed(&self::good(), &Pair::new())).await,
        door.bearer(&signed(&self::good(), &door.rsctl)).await,
        door.bearer(&format!("{head}.{}.{signature}", base64url(more.as_bytes()))).await,
        door.bearer(&format!("{none}.{payload}.")).await,
        door.bearer(&format!("{none}.{payload}.{signature}")).await,
        door.bearer(&hmac(&self::good())).await,
        door.bearer(&format!("{message}.")).await,
        door.bearer(message).await,
        door.bearer(&format!("{good}.{signature}")).await,
    ];
    expect![[r#"
        401 nobody who is trusted has signed the token
        401 nobody who is trusted has signed the token
        401 nobody who is trusted has signed the token
        401 the token is malformed
        401 the token is malformed
        401 the token must be signed with EdDSA
        401 nobody who is trusted has signed the token
        401 the token is malformed
        401 the token is malformed"#]]
    .assert_eq(&answers.join("\n"));
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let door = Door::new();
    let token = signed(&good(), &door.gateway);
    let twice = Request::get("/")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    let bytes = Request::get("/").header(header::AUTHORIZATION, &b"Bearer \xff"[..]);
    let answers = [
        door.send(Request::get("/").body(Body::empty()).unwrap()).await,
        door.send(twice.body(Body::empty()).unwrap()).await,
        door.send(bytes.body(Body::empty()).unwrap()).await,
        door.answer("").await,
        door.answer("Bearer").await,
        door.answer("Bearer ").await,
        door.answer("Basic YWRhOmxvdmVsYWNl").await,
        door.answer(&token).await,
        door.bearer("a.b.c").await,
        door.bearer("....").await,
        door.bearer(&"x".repeat(5_000)).await,
    ];
    expect![[r#"
        401 there must be one Authorization header
        401 there must be one Authorization header
        401 the Authorization header is no text
        401 the Authorization header must be `Bearer` and a token
        401 the Authorization header must be `Bearer` and a token
        401 the token is malformed
        401 the Authorization header must be `Bearer` and a token
        401 the Authorization header must be `Bearer` and a token
        401 the token is malformed
        401 the token is malformed
        401 the token is too long"#]]
    .assert_eq(&answers.join("\n"));
}

#[test]
fn keys_that_are_none_are_refused_by_their_place_and_are_not_shown() {
    let pair = Pair::new();
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let refusal = |public_key: String| {
        let key = TrustedKey {
            issuer: "rsctl".to_owned(),
            public_key,
            scopes: String::new(),
            isp_optional: false,
        };
        let settings = AuthSettings { keys: BTreeMap::from([("operators".to_owned(), key)]) };
        format!("{:#}", Verifier::new("rssync", &settings).unwrap_err())
    };
    let signer = |key: &str| format!("{:#}", Signer::new("rssync", key).unwrap_err());
    let refusals = [
        refusal(String::new()),
        refusal(other.public_key_pem()),
        refusal(pair.private.clone()),
        signer(""),
        signer(&pair.public),
        signer(&other.serialize_pem()),
    ];
    expect![[r#"
        auth.keys.operators.public_key cannot be used: there is no PUBLIC KEY block in PEM: no items found
        auth.keys.operators.public_key cannot be used: it is no Ed25519 key
        auth.keys.operators.public_key cannot be used: there is no PUBLIC KEY block in PEM: no items found
        there is no PRIVATE KEY block in PEM
        there is no PRIVATE KEY block in PEM
        it is no Ed25519 key: InvalidEddsaKey"#]].assert_eq(&refusals.join("\n"));
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .enumerate()
            .fold(0_u32, |all, (at, it)| all | u32::from(*it) << (16 - 8 * at));
        for at in 0..=chunk.len() {
            text.push(char::from(DIGITS[(word >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

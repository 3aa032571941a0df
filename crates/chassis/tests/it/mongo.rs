use chassis::mongo::{MongoSettings, connect};
use expect_test::expect;

async fn refusal(uri: &str) -> String {
    chassis::tls::install_provider();
    let settings = MongoSettings {
        uri: uri.into(),
        database: "tests".to_owned(),
        server_selection_seconds: 1,
        max_connections: 1,
    };
    format!("{:#}", connect(&settings).await.unwrap_err())
}

#[tokio::test]
async fn credentials_are_in_no_error_text() {
    let uris = [
        "mongodb://ada:hunter2@127.0.0.1:1/?directConnection=true",
        "mongodb://ada:hunter2@@127.0.0.1:1",
        "hunter2",
        "mongodb://ada:hunter2@127.0.0.1/?hunter2=1",
    ];
    for uri in uris {
        let refusal = refusal(uri).await;
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    expect!["mongo.uri is not a MongoDB connection string that can be used"]
        .assert_eq(&refusal("").await);
}

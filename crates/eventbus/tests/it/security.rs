//! TLS with certificates and SASL with passwords, against a broker that wants them.

use eventbus::{ClientType, EventBusFactory, Outcome, SaslMechanism, Security, SecurityProtocol};
use testkit::{
    certificates,
    servers::{RunFolder, apache_kafka},
};

use crate::bus::{Bus, LIMIT, Seen, sees, settings};

#[tokio::test]
async fn every_way_to_prove_who_we_are_works_and_nothing_else_does() {
    let run = RunFolder::new().unwrap();
    let issued = certificates::issue(run.path()).unwrap();
    let kafka = apache_kafka::find(&|line| eprintln!("{line}")).unwrap();
    let broker = kafka.start_secured(&run, &issued).await.unwrap();

    let tls = Security {
        protocol: SecurityProtocol::Ssl,
        ca_file: Some(issued.ca.clone()),
        certificate_file: Some(issued.client_cert.clone()),
        key_file: Some(issued.client_key.clone()),
        ..Security::default()
    };
    let sasl = |mechanism, password: &str| Security {
        protocol: SecurityProtocol::SaslSsl,
        ca_file: Some(issued.ca.clone()),
        mechanism: Some(mechanism),
        username: Some("alice".to_owned()),
        password: Some(password.to_owned().into()),
        ..Security::default()
    };
    let mut on = settings();
    on.bootstrap_servers = broker.plain.address.clone();
    let bus = Bus::with(1, on.clone()).await;

    let good = [
        (&broker.ssl, tls.clone()),
        (&broker.sasl_ssl, sasl(SaslMechanism::Plain, "secret")),
        (&broker.sasl_ssl, sasl(SaslMechanism::ScramSha256, "secret")),
        (&broker.sasl_ssl, sasl(SaslMechanism::ScramSha512, "secret")),
    ];
    for (at, (address, security)) in good.into_iter().enumerate() {
        let mut secured = bus.settings.clone();
        (secured.bootstrap_servers, secured.security) = (address.clone(), security);
        let factory = EventBusFactory::new("test", secured);
        let producer = factory.producer(ClientType::Default).unwrap();
        producer.publish(&bus.message(Some("k"), &at.to_string())).await.unwrap();
        let seen = Seen::default();
        let consumer = factory.consumer(&bus.group, ClientType::Default).unwrap();
        consumer.register(vec![bus.registry(&seen, |_| Outcome::Done)]).unwrap();
        sees(&seen, 1).await;
        consumer.close().await;
        assert_eq!(seen.lock().unwrap()[0].1, at.to_string());
    }

    let bad = [
        (&broker.ssl, Security { certificate_file: None, key_file: None, ..tls.clone() }),
        (&broker.sasl_ssl, sasl(SaslMechanism::ScramSha512, "wrong")),
        (&broker.sasl_ssl, Security { ca_file: None, ..sasl(SaslMechanism::Plain, "secret") }),
    ];
    for (address, security) in bad {
        let mut secured = bus.settings.clone();
        (secured.bootstrap_servers, secured.security) = (address.clone(), security);
        // It is refused at every attempt; two seconds are many of them.
        let limit = ("message.timeout.ms".to_owned(), "2000".to_owned());
        secured.producer.properties.extend([limit]);
        let factory = EventBusFactory::new("test", secured);
        let producer = factory.producer(ClientType::Default).unwrap();
        let message = bus.message(Some("k"), "never");
        let published = tokio::time::timeout(LIMIT, producer.publish(&message)).await;
        assert!(published.unwrap().is_err());
    }
}

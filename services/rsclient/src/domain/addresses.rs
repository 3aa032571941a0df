//! Addresses as people write them, brought into the one form in which the fleet knows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use events::{Ip, IpNetwork};
use ipnet::{IpNet, Ipv4Net};

/// How many of the leading bits of an IPv6 address say that it stands for one of IPv4.
const MAPPED_BITS: u8 = 96;

/// The address of a server: one host, which others can reach.
///
/// # Errors
/// A sentence that says what it must be.
pub fn server_address(text: &str) -> Result<Ip, &'static str> {
    let address: IpAddr = text.parse().map_err(|_| "must be an IP address")?;
    let address = address.to_canonical();
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    let is_nobody = address.is_unspecified() || address.is_multicast() || is_broadcast;
    if is_nobody || address.is_loopback() {
        return Err("must be the address of one host, not of all, none or itself");
    }
    Ok(ip(address))
}

/// A network, or a single address. What stands behind the prefix is cleared; a network of one address is that address.
///
/// # Errors
/// A sentence that says what it must be.
pub fn network(text: &str) -> Result<IpNetwork, &'static str> {
    const WRONG: &str = "must be an IP address, or a network such as 198.51.100.0/24";
    let network = match text.contains('/') {
        true => text.parse::<IpNet>().map_err(|_| WRONG)?,
        false => IpNet::from(text.parse::<IpAddr>().map_err(|_| WRONG)?),
    };
    let network = canonical(network.trunc());
    if network.prefix_len() == 0 {
        return Err("must not be every address there is");
    }
    let text = match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    };
    Ok(IpNetwork::try_from(text).expect("a truncated network is written in one way only"))
}

fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let (address, prefix): (Ipv6Addr, u8) = (v6.addr(), v6.prefix_len());
    let mapped = address.to_ipv4_mapped().filter(|_| prefix >= MAPPED_BITS);
    let mapped = mapped.and_then(|it| Ipv4Net::new(it, prefix - MAPPED_BITS).ok());
    mapped.map_or(network, IpNet::V4)
}

fn ip(address: IpAddr) -> Ip {
    Ip::try_from(address.to_string()).expect("an address is written in one way only")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn shown<T: ToString>(of: impl Fn(&str) -> Result<T, &'static str>, texts: &[&str]) -> String {
        let line = |it: &&str| match of(it) {
            Ok(it) => it.to_string(),
            Err(why) => format!("{it} {why}"),
        };
        texts.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_address_has_one_form_and_is_of_one_host() {
        let texts = [
            "192.0.2.53",
            "2001:DB8:0:0::35",
            "::ffff:192.0.2.53",
            "10.0.0.1",
            "192.0.2.053",
            "",
            "192.0.2.53 ",
            "192.0.2.0/24",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "fe80::1%eth0",
            "dns.example",
        ];
        expect![[r#"
            192.0.2.53
            2001:db8::35
            192.0.2.53
            10.0.0.1
            192.0.2.053 must be an IP address
             must be an IP address
            192.0.2.53  must be an IP address
            192.0.2.0/24 must be an IP address
            0.0.0.0 must be the address of one host, not of all, none or itself
            :: must be the address of one host, not of all, none or itself
            224.0.0.1 must be the address of one host, not of all, none or itself
            255.255.255.255 must be the address of one host, not of all, none or itself
            127.0.0.1 must be the address of one host, not of all, none or itself
            ::ffff:127.0.0.1 must be the address of one host, not of all, none or itself
            fe80::1%eth0 must be an IP address
            dns.example must be an IP address"#]]
        .assert_eq(&shown(server_address, &texts));
    }

    #[test]
    fn a_network_has_one_form() {
        let texts = [
            "198.51.100.0/24",
            "198.51.100.77/24",
            "198.51.100.7",
            "198.51.100.7/32",
            "2001:DB8::1/32",
            "2001:db8::1/128",
            "::ffff:198.51.100.7/120",
            "198.51.100.0/33",
            "198.51.100/24",
            "0.0.0.0/0",
            "::/0",
            "/24",
            "10.0.0.0/",
        ];
        expect![[r#"
            198.51.100.0/24
            198.51.100.0/24
            198.51.100.7
            198.51.100.7
            2001:db8::/32
            2001:db8::1
            198.51.100.0/24
            198.51.100.0/33 must be an IP address, or a network such as 198.51.100.0/24
            198.51.100/24 must be an IP address, or a network such as 198.51.100.0/24
            0.0.0.0/0 must not be every address there is
            ::/0 must not be every address there is
            /24 must be an IP address, or a network such as 198.51.100.0/24
            10.0.0.0/ must be an IP address, or a network such as 198.51.100.0/24"#]]
        .assert_eq(&shown(network, &texts));
    }
}

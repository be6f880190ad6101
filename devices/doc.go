// Package devices says what a device is: the fingerprint of this host, which a lookup table carries ([Host]), and
// descriptions of devices, which say how to measure on them ([Load]).
//
// Fingerprints are read from what the operating system publishes; what it does not say stays empty. Descriptions are YAML,
// embedded or given by path. The package links no runtime.
package devices

// Package devices says what a device is and in which state: the fingerprint of this host, which a lookup table carries
// ([Host]); whether it is fit to measure now ([Examine]); and descriptions of devices, which say how to measure on them
// ([Load]).
//
// Fingerprints and states are read from what the operating system publishes; what it does not say stays empty or unknown.
// Descriptions are YAML, embedded or given by path. The package links no runtime.
package devices

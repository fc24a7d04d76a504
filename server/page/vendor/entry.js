/**
 * What the page needs of connect-web and of protobuf's runtime: the entry of the bundle connect.js.
 * `make page-bundle` builds it again and compares.
 */

export {Code, ConnectError, createClient} from '@connectrpc/connect';
export {createGrpcWebTransport} from '@connectrpc/connect-web';
export {create, createFileRegistry, fromBinary, toBinary, toJson} from '@bufbuild/protobuf';
export {FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt';

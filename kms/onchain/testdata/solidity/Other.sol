// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// KmsAuth has the functions by which a contract of 0.5.2 and 0.5.3 is known. Its factory shares its selector
// with the later one, and returns something else.
contract KmsAuth {
    struct App {
        bool isRegistered;
        address controller;
    }

    event AppDeployedViaFactory(address indexed appId, address indexed proxyAddress, address indexed deployer);

    mapping(address => App) public apps;
    mapping(address => uint256) public nextAppSequence;
    address public appAuthImplementation = address(1);
    address public owner = msg.sender;

    function nextAppId() public view returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(address(this), msg.sender, nextAppSequence[msg.sender])))));
    }

    function registerApp(address controller) public {
        address appId = nextAppId();
        nextAppSequence[msg.sender]++;
        apps[appId] = App(true, controller);
    }

    function deployAndRegisterApp(address, bool, bool, bytes32, bytes32) external returns (address appId, address proxy) {
        appId = nextAppId();
        proxy = address(2);
        registerApp(proxy);
        emit AppDeployedViaFactory(appId, proxy, msg.sender);
    }
}

// ImpostorApp is an app implementation that emits the KMS's event for an app of its own choice, before the
// KMS emits the true one.
contract ImpostorApp {
    event AppDeployedViaFactory(address indexed appId, address indexed deployer);

    function initialize(address, bool, bool, bytes32, bytes32) external {
        emit AppDeployedViaFactory(address(0xbad), tx.origin);
    }

    function version() external pure returns (uint256) {
        return 1;
    }
}

// Account is an owner that is a contract: what it executes comes from its own address.
contract Account {
    address private immutable owner = msg.sender;

    receive() external payable {}

    function execute(address to, uint256 value, bytes calldata data) external {
        require(msg.sender == owner, "not the owner");
        (bool ok, bytes memory result) = to.call{value: value}(data);
        if (!ok) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
    }
}

// Everything answers any call with the number one: a contract that only seems to be a KMS.
contract Everything {
    fallback() external payable {
        assembly {
            mstore(0, 1)
            return(0, 32)
        }
    }
}
